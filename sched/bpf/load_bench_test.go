package bpf

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/schedsim/schedsim/kfuncs"
	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/mem"
)

// loadHost is as much of a kernel as loading needs.
type loadHost struct{ abi.Host }

func (loadHost) NrCPUs() int32 { return 8 }

// BenchmarkLoad loads the largest scheduler there is, scx_lavd: 23000 instructions, 22 MB of data in an arena. SCHEDSIM_OBJECTS
// names directories with objects, as for the other tests of real ones.
func BenchmarkLoad(b *testing.B) {
	var data []byte
	for _, dir := range filepath.SplitList(os.Getenv("SCHEDSIM_OBJECTS")) {
		if d, err := os.ReadFile(filepath.Join(dir, "scx_lavd.bpf.o")); err == nil {
			data = d
		}
	}
	if data == nil {
		b.Skip("scx_lavd.bpf.o is in none of the directories of SCHEDSIM_OBJECTS")
	}
	kernel, err := kernels.Get("7.2")
	if err != nil {
		b.Fatal(err)
	}
	ksym := func(string) (uint64, bool) { return mem.Base + mem.PageSize, true }
	read := func(b *testing.B) *elf.Object {
		o, err := elf.Read("scx_lavd.bpf.o", bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		return o
	}
	linked := func(b *testing.B) *link.Object {
		l, err := link.Link(read(b), Target(kernel), link.Options{FillEnums: true})
		if err != nil {
			b.Fatal(err)
		}
		return l
	}
	rows := kfuncs.All(&kfuncs.Host{})
	for i := range rows {
		if !rows[i].Modelled() {
			rows[i].Call = func(*abi.Call, *abi.Args) uint64 { return 0 }
		}
	}
	load := func(b *testing.B, l *link.Object, e vm.Engine) uint64 {
		m, err := mem.New(mem.Options{})
		if err != nil {
			b.Fatal(err)
		}
		s, err := vm.Load(l, vm.Options{Mem: m, Host: loadHost{}, Kfuncs: rows, Ksym: ksym, Engine: e})
		if err != nil {
			b.Fatal(err)
		}
		used := m.Limit()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
		return used
	}
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			read(b)
		}
	})
	b.Run("read and link", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			linked(b)
		}
	})
	for _, name := range []string{"interp", "jit"} {
		e, err := vm.EngineByName(name)
		if err != nil {
			b.Log(err)
			continue
		}
		b.Run("load/"+name, func(b *testing.B) {
			l := linked(b)
			b.ReportAllocs()
			for b.Loop() {
				b.ReportMetric(float64(load(b, l, e)), "space-B")
			}
		})
		b.Run("all/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				load(b, linked(b), e)
			}
		})
	}
}
