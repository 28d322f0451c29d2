"""What runs now, for whoever asks: by a file in the spool, and by a socket of the node.

The sampler knows it and never waits for anybody; the finaliser has the names of functions, and may be held up by the
file system of the crates. So the sampler leaves a snapshot in memory that both share, if it was asked to
(:mod:`~prov_worker.agent.live.snapshot`), and the finaliser makes of it what people read: its main thread the file, a
thread of its own the answers of the socket, also while the main thread is held up.
"""
