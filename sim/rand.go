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
		h := fnv.New64a()
		h.Write([]byte(name))
		r = rand.New(rand.NewPCG(m.seed, h.Sum64()))
		m.rands[name] = r
	}
	return r
}
