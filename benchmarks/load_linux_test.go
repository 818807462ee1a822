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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/schedsim/schedsim/ops/kernels"
	"github.com/schedsim/schedsim/sched"
	"github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/sched/bpf/agent/recipes"
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
	if err == nil {
		l.k.HotplugSeq() // the first question makes the class ready for the machine
	}
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
// the parts of files that it has mapped, such as its program, and the most that it ever had of all.
type resident struct{ own, space, file, peak int64 }

func readResident() (r resident, err error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return r, err
	}
	for _, line := range strings.Split(string(b), "\n") {
		for prefix, to := range map[string]*int64{"RssAnon:": &r.own, "RssShmem:": &r.space, "RssFile:": &r.file, "VmHWM:": &r.peak} {
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
		runtime.MemProfileRate = 0 // as in a program without profiles: each stack that is sampled takes a page
		runtime.GOMAXPROCS(1)      // each has up to 0.5 MB of free pages that it does not give back
		if err := printMemory(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// attach loads the object as a run does, with what its user-space half does (which is Go here), and enables it.
func (l *loading) attach(file string, e vm.Engine) (*bpf.Policy, error) {
	o := l.options(e)
	o.Agent = recipes.New(recipes.Options{})
	p, err := bpf.New(file, o)
	if err != nil {
		return nil, err
	}
	t, err := p.Open(sched.Env{Machine: l.m, Kernel: l.k})
	if err != nil {
		return nil, errors.Join(err, l.space.Close())
	}
	return p, l.k.Enable(t)
}

// printMemory loads the object in a process that has loaded it before, so that what is read once for all of them is there: the
// kernel's types, which belong to the kernels.Kernel that machines of a process share.
func printMemory(file string) error {
	e, err := vm.EngineByName("auto")
	if err != nil {
		return err
	}
	l, err := newLoading()
	if err != nil {
		return err
	}
	start, err := readResident()
	if err != nil {
		return err
	}
	first, err := l.attach(file, e)
	if err != nil {
		return err
	}
	used, err := readResident()
	if err != nil {
		return err
	}
	if err := errors.Join(first.Close(), l.space.Close()); err != nil {
		return err
	}
	if l, err = newLoadingOn(l.kernel); err != nil {
		return err
	}
	first = nil
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
	runtime.KeepAlive(first)
	code, err := machineCode()
	if err != nil {
		return err
	}
	fmt.Println(used.space-start.space, after.space-before.space, after.own-before.own, loaded.peak-before.own-before.space-before.file,
		int64(heapAfter.HeapAlloc)-int64(heap.HeapAlloc), code)
	return p.Close()
}

// machineCode is how many bytes of machine code this process has made: memory that can be executed and has no file.
func machineCode() (int64, error) {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0, err
	}
	n := int64(0)
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) != 5 || f[1] != "r-xp" {
			continue
		}
		from, to, _ := strings.Cut(f[0], "-")
		a, err1 := strconv.ParseInt(from, 16, 64)
		z, err2 := strconv.ParseInt(to, 16, 64)
		if err1 != nil || err2 != nil {
			continue // the kernel's own, at the end of the address space
		}
		n += z - a
	}
	return n, nil
}

// BenchmarkLoadMemory says what is resident for the largest scheduler. touched-B are the pages of simulated memory that it
// touches while it is loaded, prepared by its user-space half and enabled, load-touched-B those of loading alone. own-B is what the
// simulator has for the object beside that, once it is loaded and unused memory was given back: the median of nine processes,
// since it depends on when the garbage collector has run. Of it live-B are objects of Go, and code-B is machine code; the rest is
// memory between objects that stay. peak-B is the most that loading took besides what was there before.
// The data of the scheduler that nothing has touched, 22 MB of zeros, are in none of these, though the file has them. The kernel's
// types, the machine and the user-space half are not counted; see printMemory.
func BenchmarkLoadMemory(b *testing.B) {
	findLargest(b)
	for _, dir := range filepath.SplitList(os.Getenv("SCHEDSIM_OBJECTS")) {
		file := filepath.Join(dir, largest)
		info, err := os.Stat(file)
		if err != nil {
			continue
		}
		for b.Loop() {
			var runs [][6]int64
			for range 9 {
				runs = append(runs, memoryOf(b, file))
			}
			slices.SortFunc(runs, func(a, b [6]int64) int { return int(a[2] - b[2]) })
			r := runs[len(runs)/2]
			touched, own := r[0], r[2]
			b.ReportMetric(float64(touched), "touched-B")
			b.ReportMetric(float64(r[1]), "load-touched-B")
			b.ReportMetric(float64(own), "own-B")
			b.ReportMetric(float64(r[4]), "live-B")
			b.ReportMetric(float64(r[5]), "code-B")
			b.ReportMetric(float64(r[3]), "peak-B")
			b.ReportMetric(float64(touched+own)/float64(info.Size()), "resident/file")
			b.ReportMetric(float64(touched+own)/float64(touched), "resident/touched")
		}
		return
	}
}

func memoryOf(b *testing.B, file string) (r [6]int64) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), memoryEnv+"="+file)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		b.Skipf("%v: %s", err, &errOut)
	}
	if _, err := fmt.Sscan(string(out), &r[0], &r[1], &r[2], &r[3], &r[4], &r[5]); err != nil {
		b.Fatal(err)
	}
	return r
}
