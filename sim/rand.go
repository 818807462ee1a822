package sim

import (
	"hash/fnv"
	"math/rand/v2"
)

// Rand returns the random stream of that name: the same draws for the same (seed, name), whatever else is drawn. A
// second call with the same name continues the stream.
func (m *Machine) Rand(name string) *rand.Rand {
	r, ok := m.rands[name]
	if !ok {
		r = Stream(m.seed, name)
		m.rands[name] = r
	}
	return r
}

// Stream returns the random stream that Machine.Rand gives on a machine with that seed, from its beginning.
func Stream(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}
