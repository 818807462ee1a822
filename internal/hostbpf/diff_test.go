package hostbpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cilium/ebpf/asm"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/engine"
	"github.com/schedsim/schedsim/vm/engine/raw"
	"github.com/schedsim/schedsim/vm/interp"
	"github.com/schedsim/schedsim/vm/jit"
	"github.com/schedsim/schedsim/vm/mem"
)

var (
	programs     = flag.Int("programs", 3000, "number of random programs that TestEngines runs")
	hostPrograms = flag.Int("host-programs", 300, "number of random programs that TestHost runs on the kernel too")
	first        = flag.Uint64("first", 0, "number of the first random program")
)

// machine is an engine with an address space that all its programs use one after the other.
type machine struct {
	e     engine.Engine
	env   engine.Env
	value uint64
}

func newMachine(tb testing.TB, e engine.Engine) *machine {
	m, err := mem.New(mem.Options{Reserve: 1 << 20})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	const stack = engine.MaxFrames * engine.FrameSize
	at, _, err := m.Alloc(stack, 8)
	if err != nil {
		tb.Fatal(err)
	}
	value, _, err := m.Alloc(ValueSize, 8)
	if err != nil {
		tb.Fatal(err)
	}
	return &machine{e, engine.Env{Mem: m, StackTop: at + stack, StackSize: stack, Budget: engine.DefaultBudget}, value}
}

// outcome is what a program leaves.
type outcome struct {
	r0    uint64
	insns uint64
	value []byte
	stack []byte
}

func (m *machine) run(p Program) (outcome, error) {
	code := bytes.Clone(p.Code)
	binary.LittleEndian.PutUint32(code[8*p.Load+4:], uint32(m.value))
	binary.LittleEndian.PutUint32(code[8*p.Load+12:], uint32(m.value>>32))
	decoded, err := raw.Decode(code)
	if err != nil {
		return outcome{}, err
	}
	env := m.env
	env.Call = &abi.Call{Mem: env.Mem}
	env.Progs = []engine.Prog{{Code: decoded, Info: &abi.Prog{Name: decoded.Name}}}
	c, err := m.e.Compile(&env)
	if err != nil {
		return outcome{}, err
	}
	defer c.Close()
	stack := env.Mem.Bytes(env.StackTop-env.StackSize, env.StackSize)
	clear(stack)
	copy(env.Mem.Bytes(m.value, ValueSize), p.Value)
	r0, f := c.Run(0, 0)
	if f != nil {
		return outcome{}, fmt.Errorf("fault: instruction %d: %s", decoded.Insns[f.Insn].Orig, f.Msg)
	}
	return outcome{r0, env.State.Insns, env.Mem.Bytes(m.value, ValueSize), stack}, nil
}

func listing(p Program) string {
	insns, err := asm.AppendInstructions(nil, bytes.NewReader(p.Code), binary.LittleEndian, "linux")
	if err != nil {
		return fmt.Sprintf("% x (%v)", p.Code, err)
	}
	return insns.String()
}

// program is random program number n.
func program(n uint64, level int) Program {
	m := Maker{Rand: rand.New(rand.NewPCG(n, 0x5eed)), Level: level}
	return m.Make()
}

func machines(tb testing.TB) []*machine {
	ms := []*machine{newMachine(tb, interp.Engine{})}
	if e, err := jit.New(jit.Options{}); err != nil {
		tb.Logf("without machine code: %v", err)
	} else {
		ms = append(ms, newMachine(tb, e))
	}
	return ms
}

// same runs program number n on all machines, which must agree on everything, and returns what it left.
func same(t *testing.T, ms []*machine, n uint64, p Program) outcome {
	t.Helper()
	var a outcome
	for i, m := range ms {
		b, err := m.run(p)
		switch {
		case err != nil:
			t.Fatalf("program %d on %s: %v\n%s", n, m.e.Name(), err, listing(p))
		case i == 0:
			a = b
		case a.r0 != b.r0 || a.insns != b.insns:
			t.Fatalf("program %d: r0 %#x after %d instructions on %s, %#x after %d on %s\n%s", n, a.r0, a.insns, ms[0].e.Name(), b.r0, b.insns, m.e.Name(), listing(p))
		case !bytes.Equal(a.value, b.value):
			t.Fatalf("program %d: values differ between %s and %s:\n% x\n% x\n%s", n, ms[0].e.Name(), m.e.Name(), a.value, b.value, listing(p))
		case !bytes.Equal(a.stack, b.stack):
			t.Fatalf("program %d: stacks differ between %s and %s\n%s", n, ms[0].e.Name(), m.e.Name(), listing(p))
		}
	}
	return a
}

// TestEngines: interpreter and machine code agree on random programs.
func TestEngines(t *testing.T) {
	ms := machines(t)
	if len(ms) < 2 {
		t.Skip("one engine only")
	}
	began, insns := time.Now(), uint64(0)
	for n := *first; n < *first+uint64(*programs); n++ {
		insns += same(t, ms, n, program(n, 4)).insns
	}
	t.Logf("%d programs, %d instructions, alike on %d engines (%v)", *programs, insns, len(ms), time.Since(began).Round(time.Millisecond))
}

// TestHost: the kernel agrees with the engines on R0 and on the value.
func TestHost(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	if err := JIT(); err != nil {
		t.Skip(err)
	}
	ms := machines(t)
	level := Level()
	r, err := NewRunner(ValueSize)
	if err != nil {
		t.Skip(err)
	}
	defer r.Close()
	began := time.Now()
	for n := *first; n < *first+uint64(*hostPrograms); n++ {
		p := program(n, level)
		want := same(t, ms, n, p)
		r0, value, err := r.Run(p.Code, p.Load, p.Value)
		if refused := (*Refused)(nil); errors.As(err, &refused) {
			t.Fatalf("program %d: the kernel refuses what it should take: %v\n%s", n, err, listing(p))
		} else if err != nil {
			t.Fatalf("program %d: %v", n, err)
		}
		if r0 != uint32(want.r0) {
			t.Fatalf("program %d: r0 %#x in the kernel, %#x here\n%s", n, r0, uint32(want.r0), listing(p))
		}
		if !bytes.Equal(value, want.value) {
			t.Fatalf("program %d: values differ, kernel and here:\n% x\n% x\n%s", n, value, want.value, listing(p))
		}
	}
	t.Logf("%d programs of instruction set v%d alike on kernel and engines (%v)", *hostPrograms, level, time.Since(began).Round(time.Millisecond))
}

// TestMaker: programs are reproducible, and of the level asked for.
func TestMaker(t *testing.T) {
	for n := range uint64(200) {
		for level := 1; level <= 4; level++ {
			p := program(n, level)
			if q := program(n, level); !bytes.Equal(p.Code, q.Code) || !bytes.Equal(p.Value, q.Value) {
				t.Fatalf("program %d of level %d is not always the same", n, level)
			}
			for i := 0; i < len(p.Code); i += 8 {
				if l := levelOf(p.Code[i : i+8]); l > level {
					t.Fatalf("program %d of level %d: % x at %d is of level %d\n%s", n, level, p.Code[i:i+8], i/8, l, listing(p))
				}
				if p.Code[i] == 0x18 {
					i += 8
				}
			}
		}
	}
}

// levelOf is the version of the instruction set that has the instruction.
func levelOf(b []byte) int {
	off := int16(binary.LittleEndian.Uint16(b[2:]))
	imm := binary.LittleEndian.Uint32(b[4:])
	switch op := b[0]; {
	case op == 0xd7, op == 0x06, op&7 == 1 && op&0xe0 == 0x80, (op&7 == 4 || op&7 == 7) && off != 0:
		return 4
	case op&7 == 6, op&7 == 3 && op&0xe0 == 0xc0 && imm != 0:
		return 3
	case op&7 == 5 && op>>4 >= 0xa:
		return 2
	}
	return 1
}

// TestSensitive: what programs compute shows in what they leave, so that wrong results are found: leaving an operation out changes
// something more often than not, executed or not.
func TestSensitive(t *testing.T) {
	m := newMachine(t, interp.Engine{})
	tried, seen := 0, 0
	for n := range uint64(1000) {
		p := program(n, 4)
		a, err := m.run(p)
		if err != nil {
			t.Fatal(err)
		}
		value := bytes.Clone(a.value)
		r := rand.New(rand.NewPCG(n, 1))
		for range 20 {
			at := 8 * r.IntN(len(p.Code)/8)
			if op := p.Code[at]; op&7 != 7 && op&7 != 4 || p.Code[at+1]&15 == 9 || op == 0x57 || op == 0x0f || op == 0xbf {
				continue // no arithmetic, or that of addresses and loops
			}
			if at > 0 && p.Code[at-8] == 0x18 {
				continue // a constant
			}
			q := p
			q.Code = bytes.Clone(p.Code)
			copy(q.Code[at:], []byte{0x05, 0, 0, 0, 0, 0, 0, 0}) // a jump to the next
			b, err := m.run(q)
			if err != nil {
				t.Fatalf("program %d without %d: %v", n, at/8, err)
			}
			tried++
			if a.r0 != b.r0 || !bytes.Equal(value, b.value) {
				seen++
			}
			break
		}
	}
	t.Logf("%d of %d omissions seen", seen, tried)
	if seen < tried*4/10 || tried < 500 {
		t.Errorf("%d of %d omissions seen", seen, tried)
	}
}
