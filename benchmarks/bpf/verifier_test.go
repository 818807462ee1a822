package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/schedsim/schedsim/internal/hostbpf"
	"github.com/schedsim/schedsim/ops/kernels"
	sched "github.com/schedsim/schedsim/sched/bpf"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/verifier"
)

// BenchmarkVerifier verifies programs here and, where bpf(2) is allowed, in the kernel that it runs on: millions of
// instructions followed per second (host-Minsn/s in the kernel, as it reports its time, without compiling), and how much
// longer an instruction takes here (x-host). Each program is checked by both in turns; the figures are the best of ten, which other work on the machine disturbs the least.
func BenchmarkVerifier(b *testing.B) {
	kernel, err := kernels.Get("7.2")
	if err != nil {
		b.Fatal(err)
	}
	onHost := hostbpf.Available()
	for _, name := range []string{"verify", "compute", "calls", "maps"} {
		raw := object(b, name)
		in, err := elf.Read(name, bytes.NewReader(raw))
		if err != nil {
			b.Fatal(err)
		}
		o, err := link.Link(in, sched.Target(kernel), link.Options{})
		if err != nil {
			b.Fatal(err)
		}
		at := attachment(kernel)
		for _, p := range o.Programs {
			res, err := verifier.Check(o, p, at)
			if err != nil {
				b.Fatalf("%s: %v", p.Name, err)
			}
			if res.Insns < 3000 {
				continue
			}
			b.Run(name+"/"+p.Name, func(b *testing.B) {
				var ours, host []float64
				for b.Loop() {
					ours, host = ours[:0], host[:0]
					for range 10 {
						began := time.Now()
						if _, err := verifier.Check(o, p, at); err != nil {
							b.Fatal(err)
						}
						ours = append(ours, float64(time.Since(began).Nanoseconds())/float64(res.Insns))
						if onHost != nil {
							continue
						}
						n, d, err := hostVerify(raw, p.Name)
						if err != nil {
							b.Fatal(err)
						}
						host = append(host, float64(d.Nanoseconds())/float64(n))
					}
				}
				b.ReportMetric(1000/slices.Min(ours), "Minsn/s")
				b.ReportMetric(float64(res.Insns), "insns")
				if len(host) > 0 {
					b.ReportMetric(1000/slices.Min(host), "host-Minsn/s")
					b.ReportMetric(slices.Min(ours)/slices.Min(host), "x-host")
				}
			})
		}
	}
}

// hostVerify loads a program and returns how many instructions the kernel followed and how long that took.
func hostVerify(raw []byte, program string) (insns int, d time.Duration, err error) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		return 0, 0, err
	}
	for name := range spec.Programs {
		if name != program {
			delete(spec.Programs, name)
		}
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats}})
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	log := c.Programs[program].VerifierLog
	us := 0
	for line := range strings.Lines(log) {
		fmt.Sscanf(line, "verification time %d usec", &us)
		fmt.Sscanf(line, "processed %d insns", &insns)
	}
	if us == 0 || insns == 0 {
		return 0, 0, errors.New("the kernel's log does not tell the time of verification")
	}
	return insns, time.Duration(us) * time.Microsecond, nil
}
