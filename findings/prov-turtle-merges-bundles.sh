#!/usr/bin/env bash
# prov 3.2.3: a document written as Turtle loses its bundles, and what they say of one entity becomes one description.
#
# Two bundles that describe the same entity, with 1 and with 2, are written without an error or a warning as one entity
# that has both values; read back, the document has no bundle. So provenance of provenance is gone: who said which. The
# same holds for N-Triples, and for RDF/XML; TriG, N-Quads and JSON-LD, which have named graphs, keep both bundles.
#
# Seen (equal to what was written; bundles; values of the entity outside of bundles):
#   turtle: False, 0 bundles, values 1 2
#   nt: False, 0 bundles, values 1 2
#   xml: False, 0 bundles, values 1 2
#   trig: True, 2 bundles, values none
#   nquads: True, 2 bundles, values none
#   json-ld: True, 2 bundles, values none
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check prov==3.2.3 rdflib==7.6.0
cat >"$work/run.py" <<'PY'
import warnings

from prov.model import ProvDocument

document = ProvDocument()
document.add_namespace("ex", "https://example.org/")
for number, bundle in enumerate(("ex:first", "ex:second"), 1):
    document.bundle(bundle).entity("ex:data", {"ex:value": number})
for kind in ("turtle", "nt", "xml", "trig", "nquads", "json-ld"):
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", UserWarning)
        text = document.serialize(format="rdf", rdf_format=kind)
    texts = [str(each.message) for each in raised if "bundle" in str(each.message) or "graph" in str(each.message)]
    assert not texts, texts
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = ProvDocument.deserialize(content=text, format="rdf", rdf_format=kind)
    values = sorted(str(value) for record in again.get_records() for _, value in record.attributes)
    print(f"{kind}: {again == document}, {len(list(again.bundles))} bundles, values {' '.join(values) or 'none'}")
PY
cd "$work"
venv/bin/python run.py | tee output
diff output - <<'SEEN'
turtle: False, 0 bundles, values 1 2
nt: False, 0 bundles, values 1 2
xml: False, 0 bundles, values 1 2
trig: True, 2 bundles, values none
nquads: True, 2 bundles, values none
json-ld: True, 2 bundles, values none
SEEN
