package loader_test

import (
	"testing"

	"github.com/schedsim/schedsim/vm/loader"
	"github.com/schedsim/schedsim/vm/mem"
	"github.com/schedsim/schedsim/vm/sys"
)

// Loading a small linked object and dropping it again, without compiling it.
func BenchmarkLoad(b *testing.B) {
	m, err := mem.New(mem.Options{Reserve: 4 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	k, err := sys.New(sys.Options{Mem: m, Host: host{}, Maps: 16})
	if err != nil {
		b.Fatal(err)
	}
	defer k.Close()
	var u sys.Buffers
	p, o := k.NewProcess(&u), object()
	b.ReportAllocs()
	for b.Loop() {
		l, err := loader.Load(p, &u, o, loader.Options{})
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
	}
}
