package benchmarks

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sched/class/ext"
	"github.com/schedsim/schedsim/sched/class/fair"
	"github.com/schedsim/schedsim/sched/class/idle"
	"github.com/schedsim/schedsim/sim"
	"github.com/schedsim/schedsim/sim/kobj"
	"github.com/schedsim/schedsim/sim/topo"
	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/mem"
)

// The largest scheduler that there is: 23000 instructions, 22 MB of data. SCHEDSIM_OBJECTS names directories with objects, as
// for the tests of real ones.
const largest = "scx_lavd.bpf.o"

func findLargest(tb testing.TB) []byte {
	for _, dir := range filepath.SplitList(os.Getenv("SCHEDSIM_OBJECTS")) {
		if b, err := os.ReadFile(filepath.Join(dir, largest)); err == nil {
			return b
		}
	}
	tb.Skip(largest + " is in none of the directories of SCHEDSIM_OBJECTS")
	return nil
}

// loading is a machine into which a scheduler can be loaded.
type loading struct {
	kernel *kernels.Kernel
	space  *mem.Space
	m      *sim.Machine
	k      *ext.Kernel
}

func newLoading() (*loading, error) {
	k, err := kernels.Get("7.2")
	if err != nil {
		return nil, err
	}
	return newLoadingOn(k)
}

func newLoadingOn(k *kernels.Kernel) (*loading, error) {
	l := &loading{kernel: k}
	tp, err := topo.Flat(8)
	if err != nil {
		return nil, err
	}
	layout, err := kobj.NewLayout(l.kernel)
	if err != nil {
		return nil, err
	}
	if l.space, err = mem.New(mem.Options{}); err != nil {
		return nil, err
	}
	l.m, err = sim.New(sim.Config{Topo: tp, Layout: layout, Mem: l.space, Seed: 1, Classes: func(m *sim.Machine) []sim.Class {
		l.k = ext.New(m)
		return []sim.Class{fair.New(m), l.k, idle.New(m)}
	}})
	return l, err
}

// load reads, links and loads the object without verification, until all of its code is compiled.
func (l *loading) load(object []byte, e vm.Engine) (*bpf.Policy, error) {
	return l.open(bpf.Read(largest, object, l.options(e)))
}

func (l *loading) options(e vm.Engine) bpf.Options {
	return bpf.Options{Kernel: l.kernel, Mem: l.space, Engine: e, NoVerify: true}
}

func (l *loading) open(p *bpf.Policy, err error) (*bpf.Policy, error) {
	if err != nil {
		return nil, err
	}
	if _, err := p.Open(sched.Env{Machine: l.m, Kernel: l.k}); err != nil {
		return nil, errors.Join(err, l.space.Close())
	}
	return p, nil
}

// BenchmarkLoad loads the largest scheduler, from the bytes of its file to compiled code: 100 ms are the aim. The kernel's
// types are read before.
func BenchmarkLoad(b *testing.B) {
	object := findLargest(b)
	for _, name := range []string{"jit", "interp"} {
		b.Run("engine="+name, func(b *testing.B) {
			e, err := vm.EngineByName(name)
			if err != nil {
				b.Skip(err)
			}
			b.ReportAllocs()
			var spent time.Duration
			for b.Loop() {
				b.StopTimer()
				l, err := newLoading()
				if err != nil {
					b.Fatal(err)
				}
				before := processorTime(b)
				b.StartTimer()
				p, err := l.load(object, e)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				spent += processorTime(b) - before
				if err := errors.Join(p.Close(), l.space.Close()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(spent.Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// processorTime is what the process has used, which other work on the machine disturbs little.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is what a process has in memory, in bytes: its own, that of the simulated address space (whose pages are shared),
// and the most that it ever had of both.
type resident struct{ own, space, peak int64 }

func readResident() (r resident, err error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return r, err
	}
	for _, line := range strings.Split(string(b), "\n") {
		for prefix, to := range map[string]*int64{"RssAnon:": &r.own, "RssShmem:": &r.space, "VmHWM:": &r.peak} {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				if err != nil {
					return r, err
				}
				*to = n << 10
			}
		}
	}
	return r, nil
}

// memoryEnv makes the test binary a process that loads the object and prints what that takes.
const memoryEnv = "SCHEDSIM_LOAD_MEMORY"

func TestMain(m *testing.M) {
	if name := os.Getenv(memoryEnv); name != "" {
		if err := printMemory(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func printMemory(file string) error {
	e, err := vm.EngineByName("auto")
	if err != nil {
		return err
	}
	// A first scheduler, so that what is read once for all of them is there: the kernel's types, which belong to the
	// kernels.Kernel that machines of a process share.
	l, err := newLoading()
	if err != nil {
		return err
	}
	warm, err := l.open(bpf.New(file, l.options(e)))
	if err != nil {
		return err
	}
	if err := errors.Join(warm.Close(), l.space.Close()); err != nil {
		return err
	}
	if l, err = newLoadingOn(l.kernel); err != nil {
		return err
	}
	warm = nil
	debug.FreeOSMemory()
	var heap, heapAfter runtime.MemStats
	runtime.ReadMemStats(&heap)
	before, err := readResident()
	if err != nil {
		return err
	}
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // the peak starts anew
		return err
	}
	p, err := l.open(bpf.New(file, l.options(e)))
	if err != nil {
		return err
	}
	loaded, err := readResident()
	if err != nil {
		return err
	}
	debug.FreeOSMemory()
	after, err := readResident()
	if err != nil {
		return err
	}
	runtime.ReadMemStats(&heapAfter)
	runtime.KeepAlive(warm)
	fmt.Println(after.space-before.space, after.own-before.own, loaded.peak-before.own-before.space, int64(heapAfter.HeapAlloc)-int64(heap.HeapAlloc))
	return p.Close()
}

// BenchmarkLoadMemory says what is resident for the largest scheduler once it is loaded: pages of the simulated address space
// that were touched (touched-B), and memory of the simulator for it (own-B), of which live-B are objects of Go; and the most
// that loading took besides what was there before (peak-B). The data of the scheduler that nothing has touched, 22 MB of
// zeros, are neither in touched-B nor resident, though the file has them: what is resident is given as a multiple of both.
// The object is read from its file, whose bytes nobody keeps. The kernel's types are not counted, see printMemory.
func BenchmarkLoadMemory(b *testing.B) {
	findLargest(b)
	for _, dir := range filepath.SplitList(os.Getenv("SCHEDSIM_OBJECTS")) {
		file := filepath.Join(dir, largest)
		info, err := os.Stat(file)
		if err != nil {
			continue
		}
		for b.Loop() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), memoryEnv+"="+file)
			var errOut bytes.Buffer
			cmd.Stderr = &errOut
			out, err := cmd.Output()
			if err != nil {
				b.Skipf("%v: %s", err, &errOut)
			}
			var space, own, peak, live int64
			if _, err := fmt.Sscan(string(out), &space, &own, &peak, &live); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(space), "touched-B")
			b.ReportMetric(float64(own), "own-B")
			b.ReportMetric(float64(live), "live-B")
			b.ReportMetric(float64(peak), "peak-B")
			b.ReportMetric(float64(space+own)/float64(info.Size()), "resident/file")
			b.ReportMetric(float64(space+own)/float64(space), "resident/touched")
		}
		return
	}
}
