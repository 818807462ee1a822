//go:build linux

package hostbpf

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/jit"
	"github.com/schedsim/schedsim/vm/sys"
	"github.com/schedsim/schedsim/vm/verifier"
)

// bad tells whether a fault should not have been: programs may run for long if they ask for many rounds of bpf_loop, or nest
// loops.
func bad(f *sys.Fault, p *Probe) bool {
	if f == nil {
		return false
	}
	long := bytes.Contains(p.Code, []byte{0x85, 0, 0, 0, 181, 0, 0, 0}) || bytes.Contains(p.Code, []byte{0x85, 0x20, 0, 0, byte(ProbeNumNext), 0, 0, 0})
	return !long || !strings.Contains(f.Msg, "instructions in one invocation")
}

// inputs is the number of inputs that each accepted program is run with.
const inputs = 4

// TestVerifiedRuns: what the verifier accepts does not fault: with all checks on, none ever fires, on any engine; and with the
// checks left out that it proved to be needless, programs do the same.
func TestVerifiedRuns(t *testing.T) {
	sides := []*side{ourSide(t, "7.2", nil, sys.Options{Engine: interp.Engine{}, Checked: true})}
	if e, err := jit.New(jit.Options{}); err != nil {
		t.Logf("without machine code: %v", err)
	} else {
		sides = append(sides, ourSide(t, "7.2", nil, sys.Options{Engine: e, Checked: true}), ourSide(t, "7.2", nil, sys.Options{Engine: e}))
	}
	began := time.Now()
	accepted, mutated, unjudged, proved, accesses := 0, 0, 0, 0, 0
	for n := *first; n < *first+uint64(*probes); n++ {
		p := probe(n)
		fds := make([]int32, 0, len(sides))
		for i, s := range sides {
			fd := s.load(&p)
			if fd < 0 && i > 0 {
				t.Fatalf("program %d: accepted by one kernel, %v in another", n, s.p.Reason())
			}
			if fd < 0 {
				var e *verifier.Error
				if errors.As(s.p.Reason(), &e) && e.Code == verifier.CodeUnsupported {
					unjudged++
					if strings.Contains(e.Msg, "verifier bug") {
						t.Fatalf("program %d: %v\n%s", n, e, listing(Program{Code: p.Code}))
					}
				}
				break
			}
			fds = append(fds, int32(fd))
		}
		if len(fds) == 0 {
			continue
		}
		accepted++
		if p.Mutated {
			mutated++
		}
		for k := range uint64(inputs) {
			want := ""
			for i, s := range sides {
				got, f := s.run(fds[i], &p, n, k)
				if bad(f, &p) {
					t.Fatalf("program %d was accepted, and faults on kernel %d: %v\n%s", n, i, f, listing(Program{Code: p.Code}))
				}
				switch {
				case i == 0:
					want = got
				case f == nil && got != want:
					t.Fatalf("program %d, input %d: kernel %d says %s, the first %s\n%s", n, k, i, got, want, listing(Program{Code: p.Code}))
				}
			}
		}
		last := sides[len(sides)-1]
		for _, in := range last.p.Prog(int(fds[len(fds)-1])).Linked().Code.Insns {
			if in.Op.IsLoad() || in.Op.IsStore() || in.Op.IsAtomic() {
				accesses++
				if in.Proved {
					proved++
				}
			}
		}
		for i, s := range sides {
			s.close(fds[i])
		}
	}
	t.Logf("%d programs, %d accepted (%d of those mutated) and run on %d kernels without a fault, %d not judged; %d of %d accesses run unchecked (%v)",
		*probes, accepted, mutated, len(sides), unjudged, proved, accesses, time.Since(began).Round(time.Millisecond))
	if *probes >= 1000 && (accepted*5 < *probes || mutated*20 < *probes || len(sides) > 1 && proved*2 < accesses) {
		t.Error("too few programs are accepted, or too little is proved, for this to say much")
	}
}

// versionDifference says why 6.18 refuses a program that 7.2 accepts, "" where there is no such reason. reached tells which
// instructions paths come to here.
func versionDifference(p *Probe, log string, reached []bool) string {
	at, msg := lastOf(log)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(msg, w) })
	}
	switch {
	case has("dereference of modified ctx ptr", "variable ctx access", "negative offset ctx ptr"):
		return "7.2 lets programs move pointers to contexts"
	case has("tracing progs cannot use bpf_timer yet"):
		return "7.2 lets tracing programs use timers"
	case has("invalid bpf_context access") && p.Kind == ProbeKprobe:
		return "7.2 lets kprobes write registers"
	case has("type=ctx expected=fp") && p.Kind == ProbeSyscall:
		return "7.2 lets syscall programs pass their contexts as memory"
	case has("invalid mem access 'map_value_or_null'", "old state:") && strings.Contains(lastLookup(log), ",ks=4,"):
		return "7.2 knows more keys of arrays" // also those in one half of a slot whose other half is dead
	case has("verifier bug"):
		return "a bug of 6.18"
	case has("invalid bpf_context access") && p.Kind == ProbeSyscall:
		return "7.2 lets contexts of syscall programs be accessed unaligned"
	case at >= 0 && at < len(reached) && !reached[at]:
		return "7.2 knows that nobody comes there"
	case has("outside of the allowed memory range", "unbounded memory access", "math between", "pointer be out of bounds",
		"min value is negative", "misaligned", "invalid variable-offset", "unbounded variable-offset"):
		return "7.2 knows finer ranges"
	}
	// What comes of a path that 7.2 does not follow.
	for at := 0; at+8 <= len(p.Code); at += 8 {
		op, regs, imm := p.Code[at], p.Code[at+1], p.Code[at+4]
		switch {
		case (op&7 == 4 || op&7 == 7) && (op&0xf0 == 0x30 || op&0xf0 == 0x90):
			return "7.2 knows the results of divisions"
		case op&7 >= 5 && op&7 <= 6 && op&8 != 0 && op&0xf0 != 0 && regs&15 == regs>>4:
			return "7.2 knows that a register is like itself"
		case op == 0x18 && regs>>4 == 1 && imm == byte(ProbeOuter):
			return "7.2 knows that elements of inner arrays exist"
		}
		if op == 0x18 {
			at += 8
		}
	}
	return ""
}

// lastLookup is the log from the last lookup in a map on.
func lastLookup(log string) string {
	return log[max(strings.LastIndex(log, "call bpf_map_lookup_elem"), 0):]
}

var logInsn = regexp.MustCompile(`^(\d+): \(`)

// lastOf is the last instruction in a log, -1 if there is none, and the reason behind it.
func lastOf(log string) (slot int, reason string) {
	slot = -1
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if m := logInsn.FindStringSubmatch(line); m != nil {
			fmt.Sscan(m[1], &slot)
			continue
		}
		if line != "" && !slices.ContainsFunc([]string{"processed ", "verification time", "stack depth", "mark_precise", "insns processed"}, func(s string) bool { return strings.HasPrefix(line, s) }) {
			reason = line
		}
	}
	return slot, reason
}

// reachedSlots tells which slots of the code paths come to.
func reachedSlots(p *sys.Prog, slots int) []bool {
	out := make([]bool, slots)
	for i, r := range p.Verified().Reached {
		out[p.Linked().Code.Insns[i].Orig] = r
	}
	return out
}

// TestVerdicts: nothing is accepted that the kernel of the host refuses, but for what its version is too old for; error numbers
// are the same where the words are.
func TestVerdicts(t *testing.T) {
	if major, minor := hostVersion(t); major < 6 || major == 6 && minor < 18 {
		t.Skipf("the host's kernel is %d.%d, with rules that are older than 6.18's", major, minor)
	}
	host := hostSide(t)
	ours := ourSide(t, "6.18", host.types, sys.Options{Engine: interp.Engine{}})
	began := time.Now()
	type difference struct {
		n     int
		first uint64
	}
	unsound, newer, incomplete, errnos := map[string]*difference{}, map[string]*difference{}, map[string]*difference{}, map[string]*difference{}
	note := func(m map[string]*difference, key string, n uint64) {
		if m[key] == nil {
			m[key] = &difference{first: n}
		}
		m[key].n++
	}
	both, neither, unjudged := 0, 0, 0
	for n := *first; n < *first+uint64(*hostProbes); n++ {
		p := netProbe(n)
		theirs := host.load(&p)
		our := ours.load(&p)
		var reached []bool
		if our >= 0 && theirs < 0 {
			reached = reachedSlots(ours.p.Prog(int(our)), len(p.Code)/8)
			for k := range uint64(50) {
				if p.Kind >= NrProbeKinds {
					break // nothing here runs it
				}
				// whatever the reason, it must not fault
				if _, f := ours.run(int32(our), &p, n, k); bad(f, &p) {
					t.Fatalf("program %d was accepted here alone, and faults: %v\n%s", n, f, listing(Program{Code: p.Code}))
				}
			}
		}
		for _, x := range []struct {
			s  *side
			fd int64
		}{{host, theirs}, {ours, our}} {
			if x.fd >= 0 {
				x.s.close(int32(x.fd))
			}
		}
		var e *verifier.Error
		reason := ours.p.Reason()
		errors.As(reason, &e)
		switch {
		case our < 0 && e != nil && e.Code == verifier.CodeUnsupported:
			unjudged++
			note(incomplete, "unsupported: "+class(e.Msg), n)
		case theirs >= 0 && our >= 0:
			both++
		case theirs < 0 && our < 0:
			neither++
			if theirs != our {
				// Which of several faults is found first is not always the same; with the same words the number must be, too.
				if e != nil && class(e.Msg) == class(host.lastLine(&p)) {
					note(errnos, fmt.Sprintf("%v here, %v there: %s: %s", abi.Errno(-our), abi.Errno(-theirs), e.Code, class(e.Msg)), n)
				}
			}
		case our >= 0:
			log := host.log(&p)
			_, last := lastOf(log)
			why := versionDifference(&p, log, reached)
			if why != "" {
				note(newer, why+": "+class(last), n)
			} else {
				note(unsound, fmt.Sprintf("%v %s", abi.Errno(-theirs), class(last)), n)
			}
		default:
			msg := class(reason.Error())
			if e != nil {
				msg = string(e.Code) + ": " + class(e.Msg)
			}
			note(incomplete, msg, n)
		}
	}
	show := func(what string, m map[string]*difference) (total int) {
		keys := make([]string, 0, len(m))
		for k := range m {
			keys = append(keys, k)
		}
		slices.SortFunc(keys, func(a, b string) int { return m[b].n - m[a].n })
		for _, k := range keys {
			total += m[k].n
			t.Logf("%s %6d x %s (program %d)", what, m[k].n, k, m[k].first)
			if *verbose {
				p := netProbe(m[k].first)
				t.Logf("kind %d\n%s", p.Kind, listing(Program{Code: p.Code}))
			}
		}
		return total
	}
	bad, a, b, c := show("UNSOUND", unsound), show("NEWER", newer), show("INCOMPLETE", incomplete), show("ERRNO", errnos)
	t.Logf("%d programs: %d accepted and %d refused by both, %d accepted here alone because of newer rules, %d others, %d accepted by the host alone (%d of those not judged here), %d refused with another error number (%v)",
		*hostProbes, both, neither, a, bad, b, unjudged, c, time.Since(began).Round(time.Millisecond))
	if bad > 0 {
		t.Errorf("%d programs that the kernel refuses are accepted", bad)
	}
}
