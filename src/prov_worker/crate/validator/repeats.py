"""Keeps what the libraries below roc-validator work out again for each crate, though it is the same each time.

Loaded by :mod:`script` in the interpreter that has roc-validator. No verdict changes by any of it: each function says
why, and tests compare verdicts and graphs with those of the libraries as they are.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

#: Most lists of contexts that are kept, and most addresses: each unpacked zip has one of its own.
_CONTEXTS, _ADDRESSES = 256, 4


def keep_queries() -> None:
    """Have rdflib keep queries of SPARQL prepared: it parses the text of each one again."""
    rdflib: Any = importlib.import_module("rdflib")
    processor: Any = importlib.import_module("rdflib.plugins.sparql.processor")

    @functools.lru_cache(maxsize=1024)
    def prepared(text: str, names: tuple[tuple[str, Any], ...], base: str | None) -> Any:
        return processor.prepareQuery(text, dict(names), base)

    class Keeping(processor.SPARQLProcessor):  # type: ignore[misc]
        def query(self, query: Any, bindings: Any = None, names: Any = None, base: Any = None, **rest: Any) -> Any:
            if isinstance(query, str):
                query = prepared(query, tuple(sorted((names or {}).items())), base)
            return super().query(query, bindings, names, base, **rest)

    # The plugin system imports by name.
    setattr(sys.modules[__name__], Keeping.__name__, Keeping)
    rdflib.plugin.register("sparql", rdflib.query.Processor, __name__, Keeping.__name__)


def keep_terms() -> None:
    """Make attributes of ``OWL.sameAs`` and its like, which rdflib resolves by a function at each use."""
    rdflib: Any = importlib.import_module("rdflib")
    for namespace in (rdflib.OWL, rdflib.RDF, rdflib.RDFS, rdflib.XSD):
        for name in namespace.__annotations__:
            if not name.startswith("_"):
                setattr(namespace, name, namespace[name])


def keep_contexts(addresses: Collection[str]) -> None:
    """Have rdflib read each JSON-LD context at these addresses once: RO-Crate's has 2,700 terms.

    Only the first context of a document is kept: nothing that came before it can change what it means.
    """
    parser: Any = importlib.import_module("rdflib.plugins.parsers.jsonld")
    plain: Any = parser.Context
    kept: dict[tuple[str, float], Any] = {}

    class Kept(plain):  # type: ignore[misc]
        terms: dict[str, Any]
        version: float

        def load(self, source: Any, base: Any = None, referenced_contexts: Any = None) -> None:
            sources = source if isinstance(source, list) else [source]
            first = sources[0] if sources else None
            if self.terms or referenced_contexts or not (isinstance(first, str) and first in addresses):
                super().load(source, base, referenced_contexts)
                return
            version = self.version
            context = kept.get((first, version))
            if context is None:
                context = kept[first, version] = plain(first, version=version)
            self.terms = context.terms.copy()
            self._lookup = context._lookup.copy()
            self._prefixes = context._prefixes.copy()
            self._alias = {key: names[:] for key, names in context._alias.items()}
            self.language, self.vocab, self.propagate = context.language, context.vocab, context.propagate
            self.version = context.version
            super().load(sources[1:], base, {first})

    parser.Context = Kept


def keep_pages(addresses: Collection[str]) -> None:
    """Have the validator fetch the pages at these addresses once, and resolve each list of contexts once.

    It asks its cache, a file, for the same page several times per crate.
    """
    http: Any = importlib.import_module("rocrate_validator.utils.http")
    jsonld: Any = importlib.import_module("rocrate_validator.utils.jsonld")
    plain_get = http.HttpRequester.__getattr__
    plain_resolve = jsonld.resolve_compaction_context
    pages: dict[str, Any] = {}
    contexts: dict[str, Any] = {}

    def get(self: Any, url: Any, *rest: Any, **options: Any) -> Any:
        page = pages.get(url)
        if page is None:
            page = plain_get(self, "get")(url, *rest, **options)
            if url in addresses and page.status_code == HTTPStatus.OK:
                pages[url] = page
        return page

    def resolve(context: Any, load_remote: Any, **options: Any) -> Any:
        sources = context if isinstance(context, list) else [context]
        if options or not all(isinstance(source, dict) or source in addresses for source in sources):
            return plain_resolve(context, load_remote, **options)
        key = json.dumps(context)
        if key not in contexts:
            if len(contexts) > _CONTEXTS:
                contexts.clear()
            contexts[key] = plain_resolve(context, load_remote)
        return contexts[key]

    http.HttpRequester.get = get
    jsonld.resolve_compaction_context = resolve


def keep_closure() -> None:
    """Have owlrl apply its rules only to triples that can lead to others.

    owlrl applies all rules of OWL 2 RL (https://www.w3.org/TR/owl2-profiles/#OWL_2_RL) to all triples in each of its
    cycles, until a cycle brings nothing new. Each rule begins with a triple whose predicate is of OWL or RDFS, or which
    gives a type of one of these or of RDF. All other triples lead, once, to each of their terms being the same as
    itself. That a term is the same as itself leads to nothing: replaced by itself it gives what is there. So the
    cycles add the same triples, each in the same cycle.
    """
    owlrl: Any = importlib.import_module("owlrl")
    core: Any = importlib.import_module("owlrl.Closure")
    module: Any = importlib.import_module("owlrl.OWLRL")
    rdflib: Any = importlib.import_module("rdflib")
    owl, rdf, rdfs = rdflib.OWL, rdflib.RDF, rdflib.RDFS
    leading = (str(owl), str(rdfs))
    of_type = (*leading, str(rdf))
    same, type_, different = owl.sameAs, rdf.type, owl.differentFrom
    annotations = frozenset(module.OWLRL_Annotation_properties)

    class Leading(owlrl.OWLRL_Semantics):  # type: ignore[misc]
        def closure(self) -> None:
            self.pre_process()
            if self.axioms:
                self.add_axioms()
            if self.daxioms:
                self.add_d_axioms()
            self.flush_stored_triples()
            self.one_time_rules()
            self.flush_stored_triples()
            new = list(self.graph.triples((None, None, None)))
            self._stored = set(new)
            self._is_irreflexive = not any(True for _ in self.graph.triples((None, different, None)))
            self.bnodes = list({term for triple in new for term in triple if isinstance(term, rdflib.BNode)})
            active: list[Any] = []
            cycle = 0
            while new:
                cycle += 1
                self.empty_stored_triples()
                terms: set[Any] = set()
                for triple in active:
                    self.rules(triple, cycle + 1)
                for triple in new:
                    terms.update(triple)
                    if cycle == 1 and triple[1] in annotations:
                        self.store_triple((triple[1], type_, owl.AnnotationProperty))
                    if self._leads(triple):
                        active.append(triple)
                        self.rules(triple, cycle + 1)
                for term in terms:
                    self.store_triple((term, same, term))
                new = list(self.added_triples)
                self._stored.update(new)
                for triple in new:
                    self.destination.add(triple)
            del self._stored
            self.post_process()
            self.flush_stored_triples()
            for text in self.error_messages:
                message = rdflib.BNode()
                self.destination.add((message, type_, core.ERRNS.ErrorMessage))
                self.destination.add((message, core.ERRNS.error, rdflib.Literal(text)))

        def _leads(self, triple: Any) -> bool:
            subject, predicate, object_ = triple
            if predicate == type_:
                return isinstance(object_, rdflib.URIRef) and str.startswith(object_, of_type)
            if predicate == same and self._is_irreflexive and subject == object_:
                return False
            return isinstance(predicate, rdflib.URIRef) and str.startswith(predicate, leading)

        def store_triple(self, triple: Any) -> None:
            stored = getattr(self, "_stored", None)
            if stored is None:
                super().store_triple(triple)
            elif triple not in stored and not isinstance(triple[1], rdflib.Literal):
                self.added_triples.add(triple)

    owlrl.OWLRL_Semantics = Leading


def keep_profiles() -> None:
    """Have profiles and their checks keep what follows from the profiles that are loaded, until another one is loaded.

    Which checks replace others, and which are switched off, is found out again, from graphs, at each look at a check.
    Events and statistics are left out: nobody listens, and no verdict reads them.
    """
    profiles: Any = importlib.import_module("rocrate_validator.models.profile")
    requirements: Any = importlib.import_module("rocrate_validator.models.requirement")
    statistics: Any = importlib.import_module("rocrate_validator.models.statistics")
    validation: Any = importlib.import_module("rocrate_validator.models.validation")
    checks: Any = importlib.import_module("rocrate_validator.requirements.shacl.checks")
    kept: dict[Any, tuple[Any, Any]] = {}
    profile_class = profiles.Profile
    plain_init, plain_property = profile_class.__init__, profile_class.__get_specification_property__
    plain_notify, plain_statistics = validation.Validator.notify, statistics.ValidationStatistics

    def initialise(self: Any, *rest: Any, **options: Any) -> None:
        kept.clear()
        plain_init(self, *rest, **options)
        kept.clear()

    def specified(self: Any, *rest: Any, **options: Any) -> Any:
        value = keep((id(self), *rest, *options.items()), self, lambda: plain_property(self, *rest, **options))
        return value.copy() if isinstance(value, list) else value

    def keep(key: Any, owner: Any, find: Callable[[], Any]) -> Any:
        if key not in kept:
            # With its owner, whose id would be another's if it were gone.
            kept[key] = (find(), owner)
        return kept[key][0]

    def keep_property(of: Any, name: str) -> None:
        plain = getattr(of, name).fget
        setattr(of, name, property(lambda self: keep((name, of, id(self)), self, lambda: plain(self))))

    class Statistics:
        """Statistics that are made if somebody asks for them."""

        def __init__(self, *rest: Any, **options: Any) -> None:
            self._make: Callable[[], Any] = lambda: plain_statistics(*rest, **options)

        def __getattr__(self, name: str) -> Any:
            made = self.__dict__.get("_made")
            if made is None:
                made = self.__dict__["_made"] = self._make()
            return getattr(made, name)

    def notify(self: Any, event: Any, ctx: Any = None) -> Any:
        return plain_notify(self, event, ctx) if self.subscribers else None

    profile_class.__init__, profile_class.__get_specification_property__ = initialise, specified
    keep_property(requirements.RequirementCheck, "overridden_by")
    keep_property(checks.SHACLCheck, "deactivated")
    statistics.ValidationStatistics, validation.Validator.notify = Statistics, notify


@dataclass
class Merged:
    """What is made of the profiles of a plan for one address."""

    plan: Any
    registry: Any
    profiles: set[str]
    relative: set[Any]
    ontology: Any
    graph: Any = None
    of: int = 0


def keep_shapes() -> None:
    """Have profiles merged, and their shapes built, once for all crates that are validated under one address.

    The shapes of a profile name the crate by its address. So :mod:`script` validates each crate behind one link, and
    what is made of profiles and address alone is the same for all of them: the merged shapes and the ontology, which
    validation reads and does not change, pySHACL's objects of shapes and of their constraints, which keep what the
    shapes say, and where in the graph of shapes that stands.
    """
    shacl: Any = importlib.import_module("rocrate_validator.requirements.shacl.validator")
    runner: Any = importlib.import_module("pyshacl.validator")
    graphs: Any = importlib.import_module("pyshacl.shapes_graph")
    shape: Any = importlib.import_module("pyshacl.shape")
    constraints: Any = importlib.import_module("pyshacl.constraints")
    context_class = shacl.SHACLValidationContext
    plain_init, plain_graph = context_class.__init__, context_class.shapes_graph.fget
    merged: dict[Any, Merged] = {}
    built: dict[int, Any] = {}
    makers: dict[Any, Any] = {}

    def initialise(self: Any, context: Any) -> None:
        plain_init(self, context)
        plan, settings = context.prepared_validation_plan, self.settings
        key = (id(plan), self._run_base_mappings, settings.profile_identifier, tuple(settings.skip_checks or ()))
        if key not in merged:
            if len(merged) >= _ADDRESSES:
                merged.clear()
            merged[key] = Merged(
                plan, self._shapes_registry, self._loaded_profiles, self._relative_shape_iris, self._ontology_graph
            )
        self._merged = kept = merged[key]
        self._shapes_registry, self._loaded_profiles = kept.registry, kept.profiles
        self._relative_shape_iris, self._ontology_graph = kept.relative, kept.ontology

    def shapes_graph(self: Any) -> Any:
        kept = self._merged
        if kept.graph is None or kept.of != len(kept.profiles):
            kept.graph, kept.of = plain_graph(self), len(kept.profiles)
        return kept.graph

    class Shapes(graphs.ShapesGraph):  # type: ignore[misc]
        def __init__(self, graph: Any, *rest: Any, **options: Any) -> None:
            super().__init__(graph, *rest, **options)
            self.size = len(graph)
            self.values: dict[Any, list[Any]] = {}
            self.pairs: dict[Any, list[Any]] = {}
            self.made: dict[Any, Any] = {}

        def objects(self, subject: Any, predicate: Any) -> Any:
            key = (subject, predicate)
            if key not in self.values:
                self.values[key] = list(self.graph.objects(subject, predicate))
            return iter(self.values[key])

        def predicate_objects(self, subject: Any) -> Any:
            if subject not in self.pairs:
                self.pairs[subject] = list(self.graph.predicate_objects(subject))
            return iter(self.pairs[subject])

    def shapes_of(graph: Any, debug: Any = False, logger: Any = None) -> Any:
        shapes = built.get(id(graph))
        if shapes is None or shapes.graph is not graph or shapes.size != len(graph):
            built.clear()
            shapes = built[id(graph)] = Shapes(graph, debug, logger)
        # What a run registers in it.
        shapes._shacl_functions, shapes._shacl_target_types = {}, {}
        return shapes

    class Parameters(list):  # type: ignore[type-arg]
        """A list that knows its members by their hashes."""

        def __init__(self, members: Any) -> None:
            super().__init__(members)
            self._known = frozenset(members)

        def __contains__(self, member: object) -> bool:
            return member in self._known or super().__contains__(member)

        def copy(self) -> Any:
            return Parameters(self)

        def append(self, member: Any) -> None:
            super().append(member)
            self._known |= {member}

    def maker(constraint: Any) -> Any:
        if constraint in makers:
            return makers[constraint]

        @functools.wraps(constraint, updated=())
        def make(of: Any) -> Any:
            made = getattr(of.sg, "made", None)
            if made is None:
                return constraint(of)
            key = (constraint, of)
            if key not in made:
                made[key] = constraint(of)
            return made[key]

        makers[constraint] = make
        return make

    context_class.__init__, context_class.shapes_graph = initialise, property(shapes_graph)
    runner.ShapesGraph = shapes_of
    shape.Shape.objects = lambda self, predicate=None: self.sg.objects(self.node, predicate)
    shape.CONSTRAINT_PARAMS = (
        Parameters(constraints.ALL_CONSTRAINT_PARAMETERS),
        {parameter: maker(component) for parameter, component in constraints.CONSTRAINT_PARAMETERS_MAP.items()},
    )
