def measure(limit):
    """Count primes below a limit, and note what was found."""
    import time
    import prov_worker
    from pathlib import Path
    prov_worker.used("/data/in/input.csv")
    found = []
    end = time.monotonic() + 1.3
    while time.monotonic() < end:
        found = [n for n in range(2, limit) if all(n % p for p in range(2, int(n ** 0.5) + 1))]
    path = Path("primes.txt")
    path.write_text("\n".join(map(str, found)) + "\n")
    prov_worker.generated(path)
    prov_worker.annotate(model="sieve", limit=limit, share=len(found) / limit, ok=True)
    prov_worker.used("/data/" + "x" * 5000)
    return len(found)
