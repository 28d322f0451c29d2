"""A stand-in for PBS: ``qsub``, ``qstat``, ``qdel``, ``mpiexec``, and the server and node behind them.

What it is: small programs that do, on this machine and as this user, what OpenPBS 23.06.06 was seen to do – states,
exit codes, words on stderr, JSON, environment and directory of a job, the signals at its end –, so that Parsl's
PBSProProvider and the templates of PBS sites can be run through to the crate where PBS cannot be installed. Two rules
that ALCF adds are there too: `filesystems` has to be named, and the project has to have an allocation.

What it is not: PBS. There is one server and there are nodes by name only, all of them this machine: their CPUs are
counted as configured and held back from nobody. No fair share, reservations, dependencies, cgroups, hooks,
routing queues or limits on jobs of a user. What was never seen of the real one is refused with exit code 64 rather than
guessed; where a guess could not be avoided, a comment says so.

Known to be otherwise in OpenPBS 23.06.06: ``qsub`` leaves a process in the background for a minute, here only if asked
(``qsub_stays_s``); ranks are in sessions of their own, which signals to the job's session do not reach. The words of a
``qdel`` of a job whose node is down are those that users of PBS report; its exit code follows from the error's number.
"""
