"""One rank of an MPI program: it adds up the ranks' numbers with the others, by whichever MPI's launcher started it.

The MPI libraries of Debian's packages, through their C interface: mpi4py would have to be built for each of them.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket

if "OMPI_COMM_WORLD_RANK" in os.environ:
    mpi = ctypes.CDLL("libmpi.so.40", ctypes.RTLD_GLOBAL)  # Open MPI: handles are addresses
    world, integer, total = (
        ctypes.byref(ctypes.c_char.in_dll(mpi, name))
        for name in ("ompi_mpi_comm_world", "ompi_mpi_int", "ompi_mpi_op_sum")
    )
else:
    mpi = ctypes.CDLL("libmpich.so.12", ctypes.RTLD_GLOBAL)  # MPICH's ABI: handles are numbers
    world, integer, total = (ctypes.c_int(handle) for handle in (0x44000000, 0x4C000405, 0x58000003))
rank, size, added = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
assert mpi.MPI_Init(None, None) == 0
mpi.MPI_Comm_rank(world, ctypes.byref(rank))
mpi.MPI_Comm_size(world, ctypes.byref(size))
number = ctypes.c_int(rank.value + 1)
mpi.MPI_Allreduce(ctypes.byref(number), ctypes.byref(added), 1, integer, total, world)
answer = {"rank": rank.value, "size": size.value, "sum": added.value, "host": socket.gethostname(),
          "cpus": sorted(os.sched_getaffinity(0))}  # fmt: skip
os.write(1, (json.dumps(answer) + "\n").encode())
assert mpi.MPI_Finalize() == 0
