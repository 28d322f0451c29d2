"""The local Globus Compute web service: REST, AMQP flows and durable state for endpoints that run without an account.

A counterpart of the hosted service for the stock ``globus-compute-endpoint`` daemon and the stock SDK, both unchanged.
Needs the extra ``service``. The pieces, from the ground up:

- nouns: :mod:`records`, :mod:`identities`, :mod:`config`, :mod:`apierrors`;
- state: :mod:`storage` (what is asked of it) and :mod:`sqlite` (how it is kept);
- AMQP: :mod:`topology` (names), :mod:`messages` (bodies), :mod:`broker` (the connection), :mod:`channel` (its
  channels), :mod:`sizeprobe` (what it takes), :mod:`queues`, :mod:`outbox` and :mod:`dispatcher` (what goes out),
  :mod:`ingest` (what comes in), :mod:`supervisor` (what must be done again);
- HTTP: :mod:`tokens`, :mod:`routes`, :mod:`statuspage`, :mod:`metrics`, :mod:`counting`, :mod:`gate` (before a body
  is read), :mod:`logins`, :mod:`connections`, :mod:`proxy`, :mod:`lograte`, :mod:`app`;
- :mod:`service` puts them together, :mod:`server` runs them.
"""
