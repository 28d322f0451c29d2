"""``mpiexec`` of Open MPI under the options that Parsl gives MPICH's, for a ``PATH`` of workers.

Parsl composes ``mpiexec -n RANKS -ppn RANKS_PER_NODE -hosts HOST,HOST`` (``mpi_prefix_composer.py`` of parsl 2026.10),
which Open MPI refuses: ``unknown option "-ppn"``. The program ``mpiexec`` beside this file translates it::

    export PATH=$(python3 -m prov_worker.globus.openmpi):$PATH
"""
