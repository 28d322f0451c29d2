"""Several endpoints of one host, as a file names them: made, started, watched, and shown together.

Nothing here touches an endpoint that the file does not name, that belongs to another host, or that was not created by
this package.
"""
