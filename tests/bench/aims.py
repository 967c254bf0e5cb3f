# SPDX-License-Identifier: GPL-2.0
"""The aims of the project, each with the numbers that tell whether it is met."""

BATCH_PEERS = ("memcached", "Redis", "LMDB")


def ratio(a, b):
    return a / b if a and b else None


def best(numbers):
    return min((n for n in numbers if n), default=None)


def two_by_one(suite, peer):
    """How much more two clients do than one."""
    one, two = suite.get(peer, "get_hit"), suite.get(peer, "get_hit", clients=2)
    return ratio(2 * one, two) if one and two else None


def aims(suites):
    """A list of what is aimed at, what came out, and whether that is it."""
    results = []

    def aim(text, value, limit, is_most, unit=""):
        if value is None:
            state, shown = "not measured", f"aim {limit}{unit}"
        else:
            is_met = value <= limit if is_most else value >= limit
            state = "met" if is_met else "MISSED"
            shown = f"{value:.2f}{unit} (aim: at {'most' if is_most else 'least'} {limit}{unit})"
        results.append({"text": text, "value": value, "limit": limit, "state": state,
                        "shown": shown})

    class Nothing:
        null = None
        memory = {}

        def get(self, *args, **kwargs):
            return None

    count = suites.get("icount", Nothing())
    native = suites.get("native", Nothing())
    wall = suites.get("wall", Nothing())
    mapped = count.get("kcache mapped", "get_hit")

    aim("instructions, mapped GET of 100 B, null ioctls", ratio(mapped, count.null), 0.30, True)
    aim("instructions, mapped GET beside the Go map's", ratio(
        mapped, count.get("Go map", "get_hit")), 1, True)
    for peer, limit in (("memcached", 100), ("Redis", 100), ("BPF LRU_HASH", 10)):
        aim(f"instructions, GET of 100 B, {peer} by mapped", ratio(
            count.get(peer, "get_hit"), mapped), limit, False)
    for length, limit in ((100, 1.9), (4096, 2.7)):
        aim(f"instructions, ioctl GET of {length} B, null ioctls", ratio(
            count.get("kcache ioctl", "get_hit", length), count.null), limit, True)
    batch = count.get("kcache batch", "get_hit", batch=64)
    aim("instructions, GET in batches of 64, null ioctls a key", ratio(batch, count.null), 0.9, True)
    aim("instructions, best peer's GET in batches of 64 by kcache's", ratio(
        best(count.get(peer, "get_hit", batch=64) for peer in BATCH_PEERS), batch), 4, False)
    for length, limit in ((100, 2.8), (4096, 3.5)):
        aim(f"instructions, SET of {length} B in steady eviction, null ioctls", ratio(
            count.get("kcache ioctl", "set_evict", length), count.null), limit, True)
    aim("instructions, SET of 100 B in steady eviction, p99.9 by median", ratio(
        count.get("kcache ioctl", "set_evict", what="p999"),
        count.get("kcache ioctl", "set_evict", what="p50")), 20, True)
    for suite, peer in ((native, "kcache core, mapped"),):
        aim("this machine, mapped GET beside the Go map's, 1 thread", ratio(
            suite.get(peer, "get_hit"), suite.get("Go map", "get_hit")), 1, True)
        aim("this machine, mapped GETs a second by the Go map's, 2 threads", ratio(
            suite.get("Go map", "get_hit", clients=2), suite.get(peer, "get_hit", clients=2)),
            2, False)
    for name, suite, peer in (("this machine", native, "kcache core, mapped"),
                              ("guest", wall, "kcache mapped")):
        aim(f"{name}, two mapped readers by one", two_by_one(suite, peer), 1.9, False)
        aim(f"{name}, mapped reader beside a writer, its speed alone", ratio(
            suite.get(peer, "get_hit"), suite.get(peer, "get_hit_beside_writer")), 0.8, False)
    memory = wall.memory.get("kcache ioctl") or native.memory.get("kcache core") or {}
    aim(f"bytes an entry beyond key and value ({memory.get('entries', 0)} entries)",
        memory.get("overhead"), 36, True)
    return results
