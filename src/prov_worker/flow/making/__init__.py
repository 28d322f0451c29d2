"""Makes a flow – definition, input schema, input template – of what a person writes: ``flow.yaml``."""
