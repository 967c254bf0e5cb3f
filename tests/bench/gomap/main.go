// SPDX-License-Identifier: GPL-2.0

// gomap: a Go map behind a mutex, measured as bench measures the other peers
// (measure.h says how), with the same options and the same lines.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

const (
	keyLen     = 16
	keysMax    = 32768
	samplesMax = 16384
	samplesMin = 1000
	freshMax   = 16384
)

func now() uint64 // tsc_amd64.s

var (
	suite       = flag.String("suite", "native", "")
	lens        = flag.String("lens", "16,100,1024,4096", "")
	clients     = flag.String("clients", "1,2", "")
	ops         = flag.String("ops", "", "")
	nrKeys      = flag.Uint64("keys", 10000, "")
	rounds      = flag.Int("rounds", 15, "")
	memory      = flag.Uint64("memory", 0, "")
	_           = flag.Uint64("evict-bytes", 0, "") // it does not evict
	_           = flag.Bool("icount", false, "")    // the reader of the lines knows
	roundTicks  = flag.Float64("round-ticks", 2500000, "")
	sampleTicks = flag.Float64("sample-ticks", 40000000, "")
)

// peer is the map, in one of the two ways in which GET gives a value.
type peer struct {
	name, how string
	doesCopy  bool
}

var peers = []peer{
	{"Go map", "map[string][]byte behind a sync.Mutex inside one process; GET gives the " +
		"stored slice; it never evicts and nobody else can reach it", false},
	{"Go map, copying", "the same; GET copies the value, as a caller needs it who may " +
		"write to it", true},
}

type cache struct {
	mutex   sync.Mutex
	entries map[string][]byte
}

func mix(n uint64) uint64 {
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

func makeKey(n uint64) [keyLen]byte {
	var key [keyLen]byte

	n = mix(n + 0x9e3779b97f4a7c15)
	for i := range key {
		key[i] = "0123456789abcdef"[n&15]
		n >>= 4
	}
	return key
}

// client is one goroutine on a thread and a CPU of its own.
type client struct {
	*cache
	doesCopy bool
	id       int
	fresh    uint64
	random   uint64
	keys     [][keyLen]byte
	value    []byte
	out      []byte
}

func (c *client) get(key *[keyLen]byte) int {
	c.mutex.Lock()
	value, ok := c.entries[string(key[:])]
	if !ok {
		c.mutex.Unlock()
		return -1
	}
	if c.doesCopy {
		copy(c.out, value)
	}
	c.mutex.Unlock()
	return len(value)
}

func (c *client) set(key *[keyLen]byte) int {
	value := make([]byte, len(c.value)) // a reader may hold the old one
	copy(value, c.value)
	c.mutex.Lock()
	c.entries[string(key[:])] = value
	c.mutex.Unlock()
	return 0
}

func (c *client) pop(key *[keyLen]byte) int {
	c.mutex.Lock()
	value, ok := c.entries[string(key[:])]
	delete(c.entries, string(key[:]))
	c.mutex.Unlock()
	if !ok {
		return -1
	}
	if c.doesCopy {
		copy(c.out, value)
	}
	return len(value)
}

//go:noinline
func (c *client) none(key *[keyLen]byte) int {
	return 0
}

// run does the operation on keys[first:first+nr].
func (c *client) run(op string, first, nr int) {
	bad := 0
	keys := c.keys[first : first+nr]
	switch op {
	case "none":
		for i := range keys {
			bad |= c.none(&keys[i])
		}
	case "get_hit", "get_hit_beside_writer":
		for i := range keys {
			bad |= c.get(&keys[i]) ^ len(c.value)
		}
	case "get_miss":
		for i := range keys {
			bad |= c.get(&keys[i]) ^ -1
		}
	case "set_overwrite", "set_new":
		for i := range keys {
			bad |= c.set(&keys[i])
		}
	case "pop":
		for i := range keys {
			bad |= c.pop(&keys[i]) ^ len(c.value)
		}
	}
	if bad != 0 {
		fmt.Fprintln(os.Stderr, "gomap:", op, "gave a wrong result")
		os.Exit(1)
	}
}

func (c *client) prepare(op string, nr int) {
	c.keys = c.keys[:nr]
	for i := range c.keys {
		c.random = mix(c.random + 0x9e3779b97f4a7c15)
		n := c.random
		switch op {
		case "get_miss":
			n |= 1 << 63
		case "set_new", "pop":
			n = uint64(c.id+1)<<48 | c.fresh
			c.fresh++
		default:
			n %= *nrKeys
		}
		c.keys[i] = makeKey(n)
	}
	if op == "pop" {
		for i := range c.keys {
			c.set(&c.keys[i])
		}
	}
}

func clamp(n, low, high float64) int {
	if n < low {
		n = low
	} else if n > high {
		n = high
	}
	return int(n)
}

func percentile(sorted []float64, share float64) float64 {
	return sorted[int(share*float64(len(sorted)-1)+0.5)]
}

// loopCost is what the loop around one call takes, and the clock around one.
func (c *client) loopCost() (loop, single float64) {
	var many, one []float64

	c.prepare("none", keysMax)
	for i := 0; i < 255; i++ {
		begin := now()
		c.run("none", 0, keysMax/16)
		middle := now()
		c.run("none", 0, 1)
		one = append(one, float64(now()-middle))
		many = append(many, float64(middle-begin)/(keysMax/16))
	}
	sort.Float64s(many)
	sort.Float64s(one)
	return many[127], one[127]
}

func (c *client) plan(op string, nrClients int) (nrCalls, nrSamples int) {
	most := float64(keysMax)
	cost := 0.0
	for tries := 0; tries < 4; tries++ {
		c.prepare(op, 32)
		begin := now()
		c.run(op, 0, 32)
		ticks := float64(now()-begin) / 32
		if tries == 0 || ticks < cost {
			cost = ticks
		}
	}
	nrSamples = clamp(*sampleTicks/cost, samplesMin, samplesMax)
	if op == "set_new" {
		most = float64(freshMax / 2 / *rounds / nrClients)
		nrSamples = freshMax / 2 / nrClients
	}
	if nrClients > 1 {
		cost /= 4
	}
	return clamp(*roundTicks/cost, 4, most), nrSamples
}

// round is when each client began and ended one.
type round struct{ begin, end uint64 }

func measure(p peer, cs []*client, op string) {
	nrClients := len(cs)
	if op == "get_hit_beside_writer" {
		nrClients = 1
	}
	loop, single := cs[0].loopCost()
	nrCalls, nrSamples := cs[0].plan(op, len(cs))
	times := make([][]round, nrClients)
	samples := make([][]float64, nrClients)
	var done sync.WaitGroup
	var isOver atomic.Bool
	var waiting, turn atomic.Int32

	barrier := func() {
		if nrClients == 1 {
			return
		}
		seen := turn.Load()
		if waiting.Add(1) == int32(nrClients) {
			waiting.Store(0)
			turn.Add(1)
		}
		for turn.Load() == seen {
			runtime.Gosched()
		}
	}
	reader := func(c *client) {
		defer done.Done()
		pin(c.id)
		for i := 0; i < *rounds; i++ {
			c.prepare(op, nrCalls)
			barrier()
			begin := now()
			c.run(op, 0, nrCalls)
			times[c.id] = append(times[c.id], round{begin, now()})
			barrier()
		}
		for len(samples[c.id]) < nrSamples {
			nr := clamp(float64(nrSamples-len(samples[c.id])), 1, keysMax)
			c.prepare(op, nr)
			for i := 0; i < nr; i++ {
				begin := now()
				c.run(op, i, 1)
				samples[c.id] = append(samples[c.id], float64(now()-begin)-single)
			}
		}
		isOver.Store(true)
	}
	writer := func(c *client) {
		defer done.Done()
		pin(c.id)
		for !isOver.Load() {
			c.prepare("set_overwrite", 256)
			c.run("set_overwrite", 0, 256)
		}
	}
	for i, c := range cs {
		done.Add(1)
		if i < nrClients {
			samples[i] = make([]float64, 0, nrSamples)
			go reader(c)
		} else {
			go writer(c)
		}
	}
	done.Wait()
	report(p, op, len(cs[0].value), nrCalls, loop, times, samples)
}

func report(p peer, op string, length, nrCalls int, loop float64, times [][]round,
	samples [][]float64) {
	var costs, all []float64

	for i := range times[0] {
		rate := 0.0
		for _, t := range times {
			rate += 1 / (float64(t[i].end-t[i].begin)/float64(nrCalls) - loop)
		}
		costs = append(costs, float64(len(times))/rate)
	}
	for _, s := range samples {
		all = append(all, s...)
	}
	sort.Float64s(costs)
	sort.Float64s(all)
	fmt.Printf("{\"suite\": %q, \"peer\": %q, \"op\": %q, \"len\": %d, \"clients\": %d, "+
		"\"batch\": 1, \"keys\": %d, \"ticks\": %.1f, \"low\": %.1f, \"high\": %.1f, "+
		"\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}\n",
		*suite, p.name, op, length, len(times), *nrKeys, percentile(costs, 0.5),
		percentile(costs, 0.1), percentile(costs, 0.9), percentile(all, 0.5),
		percentile(all, 0.99), percentile(all, 0.999), all[len(all)-1])
}

// pin gives the goroutine a thread of its own, on CPU id.
func pin(id int) {
	var mask [16]uint64

	runtime.LockOSThread()
	mask[0] = 1 << (id % runtime.NumCPU())
	syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(mask),
		uintptr(unsafe.Pointer(&mask)))
}

func isWanted(op string) bool {
	for _, name := range strings.Split(*ops, ",") {
		if name == op {
			return true
		}
	}
	return *ops == ""
}

func runCase(p peer, length, nrClients int) {
	var cs []*client
	shared := &cache{entries: map[string][]byte{}}

	for id := 0; id < nrClients; id++ {
		cs = append(cs, &client{
			cache: shared, doesCopy: p.doesCopy, id: id, random: uint64(id),
			keys:  make([][keyLen]byte, keysMax),
			value: []byte(strings.Repeat("v", length)), out: make([]byte, length),
		})
	}
	for n := uint64(0); n < *nrKeys; n++ {
		key := makeKey(n)
		cs[0].set(&key)
	}
	for _, op := range []string{"get_hit", "get_miss", "set_overwrite", "pop", "set_new"} {
		if isWanted(op) {
			runtime.GC()
			measure(p, cs, op)
		}
	}
	if nrClients == 2 && isWanted("get_hit_beside_writer") {
		measure(p, cs, "get_hit_beside_writer")
	}
}

func residentBytes() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, _ := strconv.Atoi(strings.Fields(rest)[0])
	return float64(kib) * 1024
}

// runMemory tells what the process has from the system once it is idle.
func runMemory(p peer) {
	c := &client{cache: &cache{entries: map[string][]byte{}}, value: make([]byte, 100)}
	debug.FreeOSMemory()
	before := residentBytes()
	for n := uint64(0); n < *memory; n++ {
		key := makeKey(n)
		c.set(&key)
	}
	debug.FreeOSMemory()
	fmt.Printf("{\"suite\": %q, \"peer\": %q, \"op\": \"memory\", \"len\": 100, "+
		"\"entries\": %d, \"overhead\": %.1f}\n", *suite, p.name, *memory,
		(residentBytes()-before)/float64(*memory)-keyLen-100)
	runtime.KeepAlive(c)
}

func numbers(list string) (ns []int) {
	for _, word := range strings.Split(list, ",") {
		n, _ := strconv.Atoi(word)
		ns = append(ns, n)
	}
	return ns
}

func main() {
	flag.Parse()
	for _, p := range peers {
		fmt.Fprintf(os.Stderr, "          %s: %s\n", *suite, p.name)
		fmt.Printf("{\"suite\": %q, \"peer\": %q, \"how\": %q}\n", *suite, p.name, p.how)
		if *memory > 0 {
			runMemory(p)
			break // both are the same map
		}
		for _, nrClients := range numbers(*clients) {
			for _, length := range numbers(*lens) {
				runCase(p, length, nrClients)
			}
		}
	}
}
