# SPDX-License-Identifier: GPL-2.0
"""The aims of the project, each with the numbers that tell whether it is met."""

SERVERS = ("memcached", "Redis")


class Quantity:
    """A number, the least and the most that it may be, and whether even that is in doubt."""

    def __init__(self, value, low=None, high=None, is_doubtful=False):
        self.value, self.low, self.high = value, low or value, high or value
        self.is_doubtful = is_doubtful

    def __truediv__(self, other):
        return Quantity(self.value / other.value, self.low / other.high, self.high / other.low,
                        self.is_doubtful or other.is_doubtful)


def cost(suite, *args, what="ticks", **kwargs):
    """What a result says, or None. Instructions do not vary by chance."""
    value = suite.get(*args, what=what, **kwargs)
    if not value or what != "ticks" or suite.name == "icount":
        return Quantity(value) if value else None
    return Quantity(value, suite.get(*args, what="low", **kwargs),
                    suite.get(*args, what="high", **kwargs), suite.is_busy)


def ratio(a, b):
    return a / b if a and b else None


def best(quantities):
    return min((q for q in quantities if q), key=lambda q: q.value, default=None)


def two_by_one(suite, peer):
    """How much more two clients do than one."""
    return ratio(cost(suite, peer, "get_hit"), ratio(
        cost(suite, peer, "get_hit", clients=2), Quantity(2)))


def aims(suites):
    """A list of what is aimed at, what came out, and whether that is it."""
    results = []

    def aim(text, quantity, limit, is_most):
        wanted = f"aim: at {'most' if is_most else 'least'} {limit}"
        if quantity is None:
            results.append({"text": text, "value": None, "limit": limit,
                            "state": "not measured", "shown": wanted})
            return
        met = [x <= limit if is_most else x >= limit
               for x in (quantity.low, quantity.value, quantity.high)]
        shown = f"{quantity.value:.2f} ({wanted}"
        if quantity.high > quantity.low:
            shown += f"; {quantity.low:.2f} to {quantity.high:.2f} by the spread"
        state = "met" if all(met) else "MISSED" if not any(met) else "unsure"
        if quantity.is_doubtful:
            state, shown = "unsure", shown + "; the machine was busy"
        results.append({"text": text, "value": quantity.value, "limit": limit, "state": state,
                        "shown": shown + ")"})

    class Nothing:
        name = "nothing"
        null = None
        memory = {}

        def get(self, *args, **kwargs):
            return None

    count = suites.get("icount", Nothing())
    native = suites.get("native", Nothing())
    wall = suites.get("wall", Nothing())
    null = Quantity(count.null) if count.null else None
    mapped = cost(count, "kcache mapped", "get_hit")
    ours = "kcache core, mapped"

    aim("instructions, mapped GET of 100 B, null ioctls", ratio(mapped, null), 0.30, True)
    aim("instructions, mapped GET by the Go map's", ratio(
        mapped, cost(count, "Go map", "get_hit")), 1, True)
    for peer, limit in (("memcached", 100), ("Redis", 100), ("BPF LRU_HASH", 10)):
        aim(f"instructions, GET of 100 B, {peer} by mapped", ratio(
            cost(count, peer, "get_hit"), mapped), limit, False)
    for length, limit in ((100, 1.9), (4096, 2.7)):
        aim(f"instructions, ioctl GET of {length} B, null ioctls", ratio(
            cost(count, "kcache ioctl", "get_hit", length), null), limit, True)
    batch = cost(count, "kcache batch", "get_hit", batch=64)
    aim("instructions, GET in batches of 64, null ioctls a key", ratio(batch, null), 0.9, True)
    aim("instructions, better server's GET in batches of 64 by kcache's", ratio(
        best(cost(count, peer, "get_hit", batch=64) for peer in SERVERS), batch), 4, False)
    for length, limit in ((100, 2.8), (4096, 3.5)):
        aim(f"instructions, SET of {length} B in steady eviction, null ioctls", ratio(
            cost(count, "kcache ioctl", "set_evict", length), null), limit, True)
    for length in (16, 100, 1024, 4096):
        aim(f"instructions, SET of {length} B in steady eviction, p99.9 by median", ratio(
            cost(count, "kcache ioctl", "set_evict", length, what="p999"),
            cost(count, "kcache ioctl", "set_evict", length, what="p50")), 20, True)
    aim("this machine, mapped GET by the Go map's, 1 thread", ratio(
        cost(native, ours, "get_hit"), cost(native, "Go map", "get_hit")), 1, True)
    aim("this machine, mapped GETs a second by the Go map's, 2 threads", ratio(
        cost(native, "Go map", "get_hit", clients=2),
        cost(native, ours, "get_hit", clients=2)), 2, False)
    for name, suite, peer in (("this machine", native, ours), ("guest", wall, "kcache mapped")):
        aim(f"{name}, two mapped readers by one", two_by_one(suite, peer), 1.9, False)
        aim(f"{name}, mapped reader beside a writer by alone, speed", ratio(
            cost(suite, peer, "get_hit"), cost(suite, peer, "get_hit_beside_writer")),
            0.8, False)
    memory = wall.memory.get("kcache ioctl") or native.memory.get("kcache core")
    aim(f"bytes an entry beyond key and value, {memory['entries'] if memory else 'many'} entries",
        Quantity(memory["overhead"]) if memory else None, 36, True)
    return results
