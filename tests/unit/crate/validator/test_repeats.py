"""What is kept between crates changes nothing: the libraries as they are say the same."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.crate.validator.client import find_validator
from prov_worker.crate.writer import CrateWriter
from support.commands import run_program
from support.crate_faults import FAULTS

SCRIPT = Path(find_validator.__code__.co_filename).with_name("script.py")

#: A graph with a case of each rule of OWL 2 RL that owlrl has; prints what each of the two closures adds.
CLOSURES = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("repeats", sys.argv[1])
repeats = importlib.util.module_from_spec(spec)
sys.modules["repeats"] = repeats
spec.loader.exec_module(repeats)
import owlrl
from rdflib import Graph
from rdflib.compare import to_isomorphic

def closed(parsed):
    graph = Graph()
    for triple in parsed:
        graph.add(triple)
    owlrl.DeductiveClosure(owlrl.OWLRL_Semantics).expand(graph)
    return to_isomorphic(graph)

parsed = [Graph().parse(data=text, format="turtle") for text in json.loads(sys.argv[2])]
before = [closed(graph) for graph in parsed]
repeats.keep_terms()
repeats.keep_closure()
after = [closed(graph) for graph in parsed]
print(json.dumps([[len(one), len(other), one == other] for one, other in zip(before, after)]))
"""
PREFIXES = """
@prefix : <http://example.org/> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""
GRAPHS = (
    # properties
    """:p a owl:FunctionalProperty . :a :p :b , :c . :b :q "x" . :q a owl:InverseFunctionalProperty . :d :q "x" .
    :s a owl:SymmetricProperty . :a :s :e . :t a owl:TransitiveProperty . :a :t :f . :f :t :g . :g :t :h .
    :r rdfs:subPropertyOf :u . :u rdfs:subPropertyOf :v . :a :r :i . :v rdfs:domain :C ; rdfs:range :D .
    :w owl:inverseOf :x . :a :w :j . :y owl:equivalentProperty :z . :a :y 1 . :a rdfs:label "one"@en .
    :c2 owl:propertyChainAxiom (:t :s) . :ir a owl:IrreflexiveProperty . :a :ir :a .
    :as a owl:AsymmetricProperty . :a :as :b . :b :as :a .""",
    # classes
    """:A rdfs:subClassOf :B . :B rdfs:subClassOf :C . :C owl:equivalentClass :D . :x a :A . :y a owl:Nothing .
    :E owl:intersectionOf (:A :F) . :x a :F . :G owl:unionOf (:H :I) . :z a :H . :J owl:complementOf :A . :x a :J .
    :K owl:onProperty :p ; owl:someValuesFrom owl:Thing . :x :p :q . :L owl:onProperty :p ; owl:allValuesFrom :M .
    :x a :L .
    :N owl:onProperty :p ; owl:hasValue :q . :O owl:oneOf (:q :z) . :P owl:onProperty :p ; owl:maxCardinality 1 .
    :x a :P ; :p :q2 . :A owl:disjointWith :F . :x a owl:NamedIndividual . :A a owl:Class . :p a owl:ObjectProperty .
    [] a owl:AllDisjointClasses ; owl:members (:A :F :H) .""",
    # equality, differences, blank nodes, literals of many types
    """:a owl:sameAs :b . :b owl:sameAs _:c . _:c :p "1"^^xsd:integer , "1"^^xsd:byte , "x"^^xsd:integer , "t" .
    :a :p :a .
    :a owl:differentFrom :b . :d owl:differentFrom :d . [] a owl:AllDifferent ; owl:members (:a :b :e) .
    :e :p "2026-11-29T10:00:00+00:00"^^xsd:dateTime , true , 2.5 , "<p/>"^^rdf:XMLLiteral . :k owl:hasKey (:p) .""",
    # what crates are like: hardly any of it
    """:root a :Dataset ; :hasPart :f , :g ; :name "n" . :f a :File ; :size "12" . :Dataset a owl:Class .
    :File rdfs:subClassOf :CreativeWork ; a owl:Class .""",
)


@pytest.fixture
def validator() -> Path:
    python = find_validator()
    if python is None:
        pytest.skip("no interpreter has roc-validator; set PROV_WORKER_VALIDATOR")
    return python


@pytest.mark.validator
def test_what_follows_from_a_graph_is_what_followed(validator: Path) -> None:
    done = run_program(
        str(validator),
        "-I",
        "-c",
        CLOSURES,
        str(SCRIPT.with_name("repeats.py")),
        json.dumps([PREFIXES + graph for graph in GRAPHS]),
        check=True,
    )
    sizes: list[Any] = json.loads(done.stdout)
    assert all(same for _, _, same in sizes), sizes
    assert len(sizes) == len(GRAPHS)
    assert all(before > 100 for before, _, _ in sizes), "something follows from each"


#: The script with nothing kept, and each crate under its own path.
AS_IT_IS = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("script", sys.argv[1])
script = importlib.util.module_from_spec(spec)
sys.modules["script"] = script
spec.loader.exec_module(script)
script.keep_what_repeats = lambda: None
script.link_to = lambda path, directory: path
script.main()
"""


def verdicts(paths: list[Path], *command: str | Path) -> dict[str, Any]:
    """What a validator says of crates, in any order."""
    request = {"paths": list(map(str, paths)), "level": "optional", "profile": "process-run-crate", "skip_checks": []}
    done = subprocess.run(
        command,
        input=json.dumps({**request, "jobs": 2}) + "\n",
        capture_output=True,
        text=True,
        timeout=1200,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return {answer["path"]: (sorted(map(str, answer["issues"])), answer["error"]) for answer in answers}


@pytest.mark.validator
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_verdicts_are_those_of_the_validator_as_it_is(
    validator: Path,
    writer: CrateWriter,
    make_record: Callable[..., Any],
    make_series: Callable[..., Any],
    tmp_path: Path,
    edit: Callable[..., None],
) -> None:
    """Crates with each seeded fault, without each of their entities, without each property of their action."""

    def without(identifier: str, name: str | None = None) -> Callable[[dict[str, Any]], Any]:
        return lambda entities: entities.pop(identifier) if name is None else entities[identifier].pop(name)

    def publish(name: str) -> Path:
        return writer.publish(make_record(), make_series(2), None, tmp_path / name)

    whole = publish("whole")
    graph = json.loads((whole / "ro-crate-metadata.json").read_text())["@graph"]
    action = next(entity for entity in graph if entity["@id"] == "#distributed_step")
    changes = [fault for fault, _ in FAULTS.values()]
    changes += [without(entity["@id"]) for entity in graph]
    changes += [without(action["@id"], name) for name in action if name != "@id"]
    crates = [whole]
    for number, change in enumerate(changes):
        crates.append(publish(str(number)))
        edit(crates[-1], change)
    torn = publish("torn")
    (torn / "ro-crate-metadata.json").write_text("{torn")
    crates += [torn, tmp_path / "nowhere.crate"]
    as_it_is = verdicts(crates, validator, "-I", "-c", AS_IT_IS, SCRIPT)
    assert verdicts(crates, validator, "-I", SCRIPT) == as_it_is
    assert sum(1 for issues, error in as_it_is.values() if issues or error) > len(FAULTS)
