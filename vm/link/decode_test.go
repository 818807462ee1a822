package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"

	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/ir"
)

// insn encodes one slot.
func insn(op byte, dst, src byte, off int16, imm int32) []byte {
	b := []byte{op, dst | src<<4, 0, 0, 0, 0, 0, 0}
	binary.LittleEndian.PutUint16(b[2:], uint16(off))
	binary.LittleEndian.PutUint32(b[4:], uint32(imm))
	return b
}

// object makes an object with one program of these slots.
func object(slots ...[]byte) *elf.Object {
	return &elf.Object{Name: "made.o", Funcs: []*elf.Func{{Name: "prog", Section: "syscall", Code: bytes.Join(slots, nil)}},
		Programs: []*elf.Program{{Name: "prog", Section: "syscall", Kind: elf.KindSyscall, AutoLoad: true}}}
}

var exit = insn(0x95, 0, 0, 0, 0)

func TestDecode(t *testing.T) {
	k := newTestKernel(t)
	for _, tc := range []struct {
		name string
		raw  []byte
		want ir.Insn
	}{
		{"r1 += r2", insn(0x0f, 1, 2, 0, 0), ir.Insn{Op: ir.Add64X, Dst: 1, Src: 2}},
		{"r1 += -5", insn(0x07, 1, 0, 0, -5), ir.Insn{Op: ir.Add64K, Dst: 1, Imm: -5}},
		{"w1 -= w2", insn(0x1c, 1, 2, 0, 0), ir.Insn{Op: ir.Sub32X, Dst: 1, Src: 2}},
		{"w1 *= 3", insn(0x24, 1, 0, 0, 3), ir.Insn{Op: ir.Mul32K, Dst: 1, Imm: 3}},
		{"r1 /= r2", insn(0x3f, 1, 2, 0, 0), ir.Insn{Op: ir.Div64X, Dst: 1, Src: 2}},
		{"r1 s/= r2", insn(0x3f, 1, 2, 1, 0), ir.Insn{Op: ir.SDiv64X, Dst: 1, Src: 2}},
		{"w1 s/= 2", insn(0x34, 1, 0, 1, 2), ir.Insn{Op: ir.SDiv32K, Dst: 1, Imm: 2}},
		{"w1 %= w2", insn(0x9c, 1, 2, 0, 0), ir.Insn{Op: ir.Mod32X, Dst: 1, Src: 2}},
		{"r1 s%= 7", insn(0x97, 1, 0, 1, 7), ir.Insn{Op: ir.SMod64K, Dst: 1, Imm: 7}},
		{"r1 |= r2", insn(0x4f, 1, 2, 0, 0), ir.Insn{Op: ir.Or64X, Dst: 1, Src: 2}},
		{"r1 &= 1", insn(0x57, 1, 0, 0, 1), ir.Insn{Op: ir.And64K, Dst: 1, Imm: 1}},
		{"r1 <<= 63", insn(0x67, 1, 0, 0, 63), ir.Insn{Op: ir.Lsh64K, Dst: 1, Imm: 63}},
		{"r1 >>= r2", insn(0x7f, 1, 2, 0, 0), ir.Insn{Op: ir.Rsh64X, Dst: 1, Src: 2}},
		{"r1 s>>= 3", insn(0xc7, 1, 0, 0, 3), ir.Insn{Op: ir.Arsh64K, Dst: 1, Imm: 3}},
		{"w1 ^= w2", insn(0xac, 1, 2, 0, 0), ir.Insn{Op: ir.Xor32X, Dst: 1, Src: 2}},
		{"r1 = -r1", insn(0x87, 1, 0, 0, 0), ir.Insn{Op: ir.Neg64, Dst: 1}},
		{"w1 = -w1", insn(0x84, 1, 0, 0, 0), ir.Insn{Op: ir.Neg32, Dst: 1}},
		{"r1 = r2", insn(0xbf, 1, 2, 0, 0), ir.Insn{Op: ir.Mov64X, Dst: 1, Src: 2}},
		{"w1 = -1", insn(0xb4, 1, 0, 0, -1), ir.Insn{Op: ir.Mov32K, Dst: 1, Imm: -1}},
		{"r1 = (s8)r2", insn(0xbf, 1, 2, 8, 0), ir.Insn{Op: ir.MovSX8to64, Dst: 1, Src: 2}},
		{"r1 = (s32)r2", insn(0xbf, 1, 2, 32, 0), ir.Insn{Op: ir.MovSX32to64, Dst: 1, Src: 2}},
		{"w1 = (s16)w2", insn(0xbc, 1, 2, 16, 0), ir.Insn{Op: ir.MovSX16to32, Dst: 1, Src: 2}},
		{"cast to kernel", insn(0xbf, 1, 2, 1, 1), ir.Insn{Op: ir.CastKern, Dst: 1, Src: 2}},
		{"cast to user", insn(0xbf, 1, 2, 1, 1<<16), ir.Insn{Op: ir.CastUser, Dst: 1, Src: 2}},
		{"le16", insn(0xd4, 1, 0, 0, 16), ir.Insn{Op: ir.LE16, Dst: 1}},
		{"be64", insn(0xdc, 1, 0, 0, 64), ir.Insn{Op: ir.BE64, Dst: 1}},
		{"bswap32", insn(0xd7, 1, 0, 0, 32), ir.Insn{Op: ir.BSwap32, Dst: 1}},
		{"r1 = *(u8 *)(r2 + 5)", insn(0x71, 1, 2, 5, 0), ir.Insn{Op: ir.Ld8, Dst: 1, Src: 2, Off: 5}},
		{"r1 = *(u64 *)(r2 - 8)", insn(0x79, 1, 2, -8, 0), ir.Insn{Op: ir.Ld64, Dst: 1, Src: 2, Off: -8}},
		{"r1 = *(s16 *)(r2)", insn(0x89, 1, 2, 0, 0), ir.Insn{Op: ir.Lds16, Dst: 1, Src: 2}},
		{"*(u16 *)(r1 + 2) = r2", insn(0x6b, 1, 2, 2, 0), ir.Insn{Op: ir.St16X, Dst: 1, Src: 2, Off: 2}},
		{"*(u32 *)(r1) = -1", insn(0x62, 1, 0, 0, -1), ir.Insn{Op: ir.St32K, Dst: 1, Imm: -1}},
		{"lock add32", insn(0xc3, 1, 2, 4, 0x00), ir.Insn{Op: ir.AtomicAdd32, Dst: 1, Src: 2, Off: 4}},
		{"fetch and64", insn(0xdb, 1, 2, 0, 0x51), ir.Insn{Op: ir.FetchAnd64, Dst: 1, Src: 2}},
		{"xchg64", insn(0xdb, 1, 2, 0, 0xe1), ir.Insn{Op: ir.Xchg64, Dst: 1, Src: 2}},
		{"cmpxchg32", insn(0xc3, 1, 2, 0, 0xf1), ir.Insn{Op: ir.CmpXchg32, Dst: 1, Src: 2}},
		{"load-acquire 8", insn(0xd3, 1, 2, 0, 0x100), ir.Insn{Op: ir.LdAcq8, Dst: 1, Src: 2}},
		{"store-release 64", insn(0xdb, 1, 2, 0, 0x110), ir.Insn{Op: ir.StRel64, Dst: 1, Src: 2}},
		{"goto +0", insn(0x05, 0, 0, 0, 0), ir.Insn{Op: ir.Ja, Target: 1}},
		{"gotol +0", insn(0x06, 0, 0, 0, 0), ir.Insn{Op: ir.Ja, Target: 1}},
		{"may_goto +0", insn(0xe5, 0, 0, 0, 0), ir.Insn{Op: ir.MayGoto, Target: 1}},
		{"if r1 == 5", insn(0x15, 1, 0, 0, 5), ir.Insn{Op: ir.JEq64K, Dst: 1, Imm: 5, Target: 1}},
		{"if w1 s<= w2", insn(0xde, 1, 2, 0, 0), ir.Insn{Op: ir.JSLe32X, Dst: 1, Src: 2, Target: 1}},
		{"if r1 & r2", insn(0x4d, 1, 2, -1, 0), ir.Insn{Op: ir.JSet64X, Dst: 1, Src: 2, Target: 0}},
		{"if w1 < 9", insn(0xa6, 1, 0, 0, 9), ir.Insn{Op: ir.JLt32K, Dst: 1, Imm: 9, Target: 1}},
		{"call 14", insn(0x85, 0, 0, 0, 14), ir.Insn{Op: ir.CallHelper, Imm: 14}},
		{"callx r3", insn(0x8d, 3, 0, 0, 0), ir.Insn{Op: ir.CallReg, Dst: 3}},
		{"r1 = 64 bits", append(insn(0x18, 1, 0, 0, -1), insn(0, 0, 0, 0, 0x12345678)...), ir.Insn{Op: ir.LdImm64, Dst: 1, Imm: 0x12345678ffffffff}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, err := Link(object(tc.raw, exit), k, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, o.Programs[0].Code.Insns[0]); diff != "" {
				t.Errorf("instruction (-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	k := newTestKernel(t)
	for _, tc := range []struct {
		name        string
		o           *elf.Object
		want        string
		unsupported bool
	}{
		{name: "unknown class", o: object(insn(0xff, 0, 0, 0, 0), exit), want: "instruction 0: unknown opcode 0xff"},
		{name: "unknown arithmetic", o: object(insn(0xe7, 0, 0, 0, 0), exit), want: "unknown opcode 0xe7"},
		{name: "unknown jump", o: object(insn(0xf5, 0, 0, 0, 0), exit), want: "unknown opcode 0xf5"},
		{name: "unknown store", o: object(insn(0x82, 0, 0, 0, 0), exit), want: "unknown opcode 0x82"},
		{name: "signed load of 8 bytes", o: object(insn(0x99, 0, 1, 0, 0), exit), want: "unknown opcode 0x99"},
		{name: "register", o: object(insn(0xbf, 11, 0, 0, 0), exit), want: "register r11 does not exist"},
		{name: "mov with both operands", o: object(insn(0xbf, 1, 2, 0, 3), exit), want: "opcode 0xbf uses reserved fields"},
		{name: "mov of 24 bits", o: object(insn(0xbf, 1, 2, 24, 0), exit), want: "uses reserved fields"},
		{name: "add with offset", o: object(insn(0x0f, 1, 2, 1, 0), exit), want: "uses reserved fields"},
		{name: "add of a constant and a register", o: object(insn(0x07, 1, 2, 0, 0), exit), want: "uses reserved fields"},
		{name: "neg with operand", o: object(insn(0x87, 1, 0, 0, 1), exit), want: "uses reserved fields"},
		{name: "swap of 24 bits", o: object(insn(0xd4, 1, 0, 0, 24), exit), want: "uses reserved fields"},
		{name: "load with immediate", o: object(insn(0x79, 1, 2, 0, 4), exit), want: "uses reserved fields"},
		{name: "atomic of 8 bits", o: object(insn(0xd3, 1, 2, 0, 0), exit), want: "unknown atomic operation 0x0"},
		{name: "unknown atomic", o: object(insn(0xdb, 1, 2, 0, 0x30), exit), want: "unknown atomic operation 0x30"},
		{name: "exit with value", o: object(insn(0x95, 0, 0, 0, 1)), want: "uses reserved fields"},
		{name: "cast to space 2", o: object(insn(0xbf, 1, 2, 1, 2), exit), want: "cast between address spaces 2 and 0"},
		{name: "indirect jump", o: object(insn(0x0d, 1, 0, 0, 0), exit), want: "indirect jump (gotox): not supported", unsupported: true},
		{name: "jump before the start", o: object(insn(0x05, 0, 0, -2, 0), exit), want: "instruction 0: jump to -1, outside of the function (0 to 1)"},
		{name: "jump behind the end", o: object(insn(0x05, 0, 0, 1, 0), exit), want: "instruction 0: jump to 2, outside"},
		{name: "far jump", o: object(insn(0x06, 0, 0, 0, -1<<31), exit), want: "outside of the function"},
		{name: "jump into a load", o: object(insn(0x05, 0, 0, 1, 0), insn(0x18, 1, 0, 0, 0), insn(0, 0, 0, 0, 0), exit),
			want: "instruction 0: jump to 2, the middle of a two-slot load"},
		{name: "half a load", o: object(exit, insn(0x18, 1, 0, 0, 0)), want: "instruction 1: two-slot load without its second half"},
		{name: "bad second half", o: object(insn(0x18, 1, 0, 0, 0), exit, exit), want: "two-slot load without its second half"},
		{name: "no exit", o: object(exit, insn(0xb7, 0, 0, 0, 0)), want: "instruction 1: the last one is neither exit nor jump"},
		{name: "map without relocation", o: object(insn(0x18, 1, 1, 0, 0), insn(0, 0, 0, 0, 0), exit), want: "refers to something (src 1), but has no relocation"},
		{name: "call without relocation", o: object(insn(0x85, 0, 1, 0, -1), exit), want: "refers to something (src 1)"},
		{name: "call of a strange kind", o: object(insn(0x85, 0, 7, 0, -1), exit), want: "uses reserved fields"},
		{name: "deep stack", o: object(insn(0x7a, 10, 0, -520, 0), exit), want: "instruction 0: uses the stack below its 512 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := Link(tc.o, k, Options{})
			if err == nil || l != nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "made.o: ") ||
				!strings.Contains(err.Error(), `program "prog"`) {
				t.Fatalf("error %v\nwant  %q", err, tc.want)
			}
			if errors.Is(err, ErrUnsupported) != tc.unsupported {
				t.Errorf("%v: is ErrUnsupported: %t", err, !tc.unsupported)
			}
		})
	}
}

// TestBadInstructions: what the verifier refuses only where it can be reached is poisoned.
func TestBadInstructions(t *testing.T) {
	k := newTestKernel(t)
	for _, tc := range []struct {
		name string
		bad  []byte
		want string
	}{
		{"frame pointer", insn(0xbf, 10, 0, 0, 0), "r10 is read-only"},
		{"fetch to the frame pointer", insn(0xdb, 1, 10, 0, 0x01), "r10 is read-only"},
		{"division by 0", insn(0x37, 1, 0, 0, 0), "division by the constant 0"},
		{"shift by 64", insn(0x67, 1, 0, 0, 64), "invalid shift by 64"},
		{"32-bit shift by 32", insn(0x64, 1, 0, 0, 32), "invalid shift by 32"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, err := Link(object(tc.bad, exit), k, Options{})
			if err != nil {
				t.Fatal(err)
			}
			p := o.Programs[0]
			if in := p.Code.Insns[0]; in.Op != ir.Invalid || p.Poison[in.Imm] != tc.want || p.Live[1] {
				t.Errorf("%+v, poison %q, live %v", in, p.Poison, p.Live)
			}
		})
	}
	t.Run("dead use of deep stack", func(t *testing.T) {
		if _, err := Link(object(movK(1, 0), jeqK(1, 0, 1), insn(0x7a, 10, 0, -520, 0), exit), k, Options{}); err != nil {
			t.Error(err)
		}
	})
}

// TestProgramErrors: errors of programs that nobody asked for stay with them.
func TestProgramErrors(t *testing.T) {
	k := newTestKernel(t)
	for _, tc := range []struct {
		name string
		auto bool
		opt  Options
		fail bool
	}{
		{"auto-loaded", true, Options{}, true},
		{"optional", false, Options{}, false},
		{"keep going", true, Options{KeepGoing: true}, false},
	} {
		for _, bad := range [][]byte{insn(0xff, 0, 0, 0, 0), insn(0x7a, 10, 0, -520, 0)} {
			t.Run(fmt.Sprintf("%s/%#x", tc.name, bad[0]), func(t *testing.T) {
				in := object(bad, exit)
				in.Programs[0].AutoLoad = tc.auto
				o, err := Link(in, k, tc.opt)
				if (err != nil) != tc.fail {
					t.Fatalf("error %v", err)
				}
				if err != nil {
					return
				}
				p := o.Programs[0]
				if p.Err == nil || p.Poison[p.Code.Insns[0].Imm] != p.Err.Error() || p.Code.Insns[0].Op != ir.Invalid {
					t.Errorf("program error %v, poison %q", p.Err, p.Poison)
				}
				checkProgram(t, o, p)
			})
		}
	}
}

func TestObjectErrors(t *testing.T) {
	for _, tc := range []struct {
		name   string
		file   string
		change func(o *elf.Object, k *testKernel)
		want   string
	}{
		{"missing function", "ksyms.bpf.o", func(o *elf.Object, _ *testKernel) { extern1(o, "kern_now").Name = "kern_nov" },
			`ksyms.bpf.o: extern "kern_nov": the kernel has no function "kern_nov"; did you mean "kern_now"?`},
		{"other prototype", "ksyms.bpf.o", func(o *elf.Object, _ *testKernel) { extern1(o, "kern_now").Type = extern1(o, "kern_kick").Type },
			`ksyms.bpf.o: extern "kern_now": declared as u32 (s32), but the kernel's "kern_now" is u64 ()`},
		{"missing variable", "ksyms.bpf.o", func(o *elf.Object, _ *testKernel) { extern1(o, "root_thing").Name = "root_thnig" },
			`ksyms.bpf.o: extern "root_thnig": the kernel has no variable "root_thnig"; did you mean "root_thing"?`},
		{"other type", "ksyms.bpf.o", func(o *elf.Object, _ *testKernel) { extern1(o, "root_thing").Type = extern1(o, "per_cpu_counter").Type },
			`ksyms.bpf.o: extern "root_thing": declared as int, but the kernel's variable is struct thing`},
		{"missing kconfig", "ksyms.bpf.o", func(_ *elf.Object, k *testKernel) { delete(k.config, "CONFIG_HZ") },
			`ksyms.bpf.o: extern "CONFIG_HZ": the kernel's configuration does not set it`},
		{"text for a number", "ksyms.bpf.o", func(_ *elf.Object, k *testKernel) { k.config["CONFIG_HZ"] = `"fast"` },
			`ksyms.bpf.o: extern "CONFIG_HZ": the value "fast" needs a char array, not unsigned int`},
		{"module for a bool", "ksyms.bpf.o", func(_ *elf.Object, k *testKernel) { k.config["CONFIG_PREEMPT"] = "m" },
			`ksyms.bpf.o: extern "CONFIG_PREEMPT": the value m does not fit a bool`},
		{"number too big", "ksyms.bpf.o", func(_ *elf.Object, k *testKernel) { k.config["CONFIG_HZ"] = "0x100000000" },
			`ksyms.bpf.o: extern "CONFIG_HZ": the value 4294967296 does not fit unsigned int`},
		{"no number", "ksyms.bpf.o", func(_ *elf.Object, k *testKernel) { k.config["CONFIG_HZ"] = "fast" },
			`ksyms.bpf.o: extern "CONFIG_HZ": the value "fast" is no number`},
		{"unknown virtual kconfig", "ksyms.bpf.o", func(o *elf.Object, _ *testKernel) { extern1(o, "CONFIG_HZ").Name = "HZ" },
			`ksyms.bpf.o: extern "HZ": neither CONFIG_... nor a LINUX_... value that is known`},
		{"member set, unknown to the kernel", "ops.bpf.o", func(o *elf.Object, _ *testKernel) { member(o, "timeout").Name = "timout" },
			`ops.bpf.o: struct_ops "first_ops": member "timout": the kernel's struct has no such member, and it is not zero; did you mean "timeout"?`},
		{"member of another kind", "ops.bpf.o", func(o *elf.Object, _ *testKernel) { member(o, "timeout").Name = "name" },
			`ops.bpf.o: struct_ops "first_ops": member "name": declared as unsigned int, but array of 16 char in the kernel`},
		{"member of another size", "ops.bpf.o", func(o *elf.Object, _ *testKernel) { member(o, "timeout").Name = "flags" },
			`ops.bpf.o: struct_ops "first_ops": member "flags": 4 bytes, but 8 in the kernel`},
		{"member of another section", "ops.bpf.o", func(o *elf.Object, _ *testKernel) { o.Programs[0].Kind = elf.KindSyscall },
			`expected struct_ops`},
		{"unknown table", "core.bpf.o", func(o *elf.Object, _ *testKernel) {
			so := *read(t, "ops.bpf.o").StructOps[0]
			st := *so.Type
			st.Name = "chair_ops"
			so.Type = &st
			o.StructOps = append(o.StructOps, &so)
		}, `the kernel has no struct "chair_ops"`},
		{"access path", "core.bpf.o", func(o *elf.Object, _ *testKernel) { o.Funcs[0].Core[0].Access = "0:99" },
			`core.bpf.o: section "syscall", program "values": instruction `},
		{"access text", "core.bpf.o", func(o *elf.Object, _ *testKernel) { o.Funcs[0].Core[0].Access = "0:x" },
			`access "0:x": expected up to 64 numbers`},
		{"kind", "core.bpf.o", func(o *elf.Object, _ *testKernel) { o.Funcs[0].Core[0].Kind = 99 }, `CO-RE relocation: unknown kind 99`},
		{"type", "core.bpf.o", func(o *elf.Object, _ *testKernel) { o.Funcs[0].Core[0].TypeID = 9999 }, `CO-RE relocation: `},
		{"wrong value", "core.bpf.o", func(o *elf.Object, _ *testKernel) { o.Funcs[0].Core[1].Access = "0:0" },
			`CO-RE relocation: the instruction holds 16, the types say 0`},
		{"wrong instruction", "core.bpf.o", func(o *elf.Object, _ *testKernel) {
			o.Funcs[0].Core[0].Insn = int32(len(o.Funcs[0].Code)/8) - 1
		}, `opcode 0x95 cannot be relocated`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, k := read(t, tc.file), newTestKernel(t)
			tc.change(o, &k)
			l, err := Link(o, k, Options{})
			if err == nil || l != nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v\nwant  %s", err, tc.want)
			}
		})
	}
}

func extern1(o *elf.Object, name string) *elf.Extern {
	for _, e := range o.Externs {
		if e.Name == name {
			return e
		}
	}
	panic("no extern " + name)
}

func member(o *elf.Object, name string) *elf.Member {
	for _, so := range o.StructOps {
		for i := range so.Members {
			if so.Name == "first_ops" && so.Members[i].Name == name {
				return &so.Members[i]
			}
		}
	}
	panic("no member " + name)
}

// TestAgainstLibrary decodes every instruction of the test objects twice, by us and by cilium/ebpf.
func TestAgainstLibrary(t *testing.T) {
	k := newTestKernel(t)
	seen := map[ir.Op]bool{}
	for _, file := range []string{"isa.bpf.o", "calls.bpf.o", "globals.bpf.o", "maps.bpf.o", "ops.bpf.o", "arena.bpf.o"} {
		o := read(t, file)
		l, err := Link(o, k, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for n, p := range l.Programs {
			r := bytes.NewReader(o.Funcs[o.Programs[n].Func].Code)
			sub := p.Code.Subs[0]
			for i, in := range p.Code.Insns[:sub.End] {
				var a asm.Instruction
				if err := a.Unmarshal(r, binary.LittleEndian, "linux"); err != nil {
					t.Fatal(err)
				}
				op := libraryOp(&a)
				if in.Op == ir.Invalid {
					continue
				}
				seen[in.Op] = true
				wrong := op != in.Op
				if !in.Op.IsCall() && in.Op != ir.LdImm64 && in.Op != ir.Ja {
					wrong = wrong || byte(a.Dst) != byte(in.Dst)
				}
				if in.Op.IsLoad() || in.Op.IsStore() || in.Op.IsAtomic() {
					wrong = wrong || int32(a.Offset) != in.Off || byte(a.Src) != byte(in.Src)
				}
				if wrong {
					t.Errorf("%s, %s, instruction %d: %+v, the library has operation %d: %v", file, p.Name, i, in, op, a)
				}
			}
		}
	}
	if len(seen) < 70 {
		t.Errorf("the objects hold only %d different operations", len(seen))
	}
}

// libraryOp names the operation of an instruction as the library decoded it.
func libraryOp(a *asm.Instruction) ir.Op {
	form := func(op ir.Op) ir.Op {
		if c := a.OpCode.Class(); c == asm.ALUClass || c == asm.Jump32Class {
			op += 2
		}
		if a.OpCode.Source() == asm.ImmSource {
			op++
		}
		return op
	}
	size := func(op ir.Op) ir.Op {
		return op + map[asm.Size]ir.Op{asm.Byte: 0, asm.Half: 1, asm.Word: 2, asm.DWord: 3}[a.OpCode.Size()]
	}
	wide := a.OpCode.Class() == asm.ALU64Class
	switch a.OpCode.Class() {
	case asm.ALUClass, asm.ALU64Class:
		switch op := a.OpCode.ALUOp(); op {
		case asm.Neg:
			return map[bool]ir.Op{true: ir.Neg64, false: ir.Neg32}[wide]
		case asm.MovSX8:
			return map[bool]ir.Op{true: ir.MovSX8to64, false: ir.MovSX8to32}[wide]
		case asm.MovSX16:
			return map[bool]ir.Op{true: ir.MovSX16to64, false: ir.MovSX16to32}[wide]
		case asm.MovSX32:
			return ir.MovSX32to64
		case asm.Swap:
			base := ir.LE16
			if wide {
				base = ir.BSwap16
			} else if a.OpCode.Endianness() == asm.BE {
				base = ir.BE16
			}
			return base + map[int64]ir.Op{16: 0, 32: 1, 64: 2}[a.Constant]
		case asm.Mov:
			if a.Offset == 1 {
				return map[int64]ir.Op{1: ir.CastKern, 1 << 16: ir.CastUser}[a.Constant]
			}
			return form(ir.Mov64X)
		default:
			return form(map[asm.ALUOp]ir.Op{asm.Add: ir.Add64X, asm.Sub: ir.Sub64X, asm.Mul: ir.Mul64X, asm.Div: ir.Div64X, asm.SDiv: ir.SDiv64X,
				asm.Mod: ir.Mod64X, asm.SMod: ir.SMod64X, asm.Or: ir.Or64X, asm.And: ir.And64X, asm.Xor: ir.Xor64X, asm.LSh: ir.Lsh64X,
				asm.RSh: ir.Rsh64X, asm.ArSh: ir.Arsh64X}[op])
		}
	case asm.JumpClass, asm.Jump32Class:
		switch op := a.OpCode.JumpOp(); op {
		case asm.Ja:
			return ir.Ja
		case asm.Exit:
			return ir.Exit
		case asm.Call:
			return map[asm.Register]ir.Op{0: ir.CallHelper, 1: ir.CallSub, 2: ir.CallKfunc}[a.Src]
		case 0xe0:
			return ir.MayGoto
		default:
			return form(map[asm.JumpOp]ir.Op{asm.JEq: ir.JEq64X, asm.JNE: ir.JNe64X, asm.JGT: ir.JGt64X, asm.JGE: ir.JGe64X, asm.JLT: ir.JLt64X,
				asm.JLE: ir.JLe64X, asm.JSGT: ir.JSGt64X, asm.JSGE: ir.JSGe64X, asm.JSLT: ir.JSLt64X, asm.JSLE: ir.JSLe64X, asm.JSet: ir.JSet64X}[op])
		}
	case asm.LdClass:
		return ir.LdImm64
	case asm.LdXClass:
		if a.OpCode.Mode() == asm.MemSXMode {
			return size(ir.Lds8)
		}
		return size(ir.Ld8)
	case asm.StClass:
		return size(ir.St8K)
	}
	if a.OpCode.Mode() == asm.MemMode {
		return size(ir.St8X)
	}
	op := map[asm.AtomicOp]ir.Op{asm.AddAtomic: ir.AtomicAdd32, asm.OrAtomic: ir.AtomicOr32, asm.AndAtomic: ir.AtomicAnd32, asm.XorAtomic: ir.AtomicXor32,
		asm.FetchAdd: ir.FetchAdd32, asm.FetchOr: ir.FetchOr32, asm.FetchAnd: ir.FetchAnd32, asm.FetchXor: ir.FetchXor32, asm.Xchg: ir.Xchg32,
		asm.CmpXchg: ir.CmpXchg32}[a.OpCode.AtomicOp()]
	if a.OpCode.Size() == asm.DWord {
		op++
	}
	return op
}

// The tables of an indirect jump: the elements become numbers of instructions, which the code compares.
func TestJumpTables(t *testing.T) {
	made := func(off uint32, targets ...uint64) *elf.Object {
		// 0: r1 = table; 2: r1 = *r1; 3: gotox r1; 4: r0 = 1; 5: exit
		o := object(insn(0x18, 1, 0, 0, 0), insn(0, 0, 0, 0, 0), insn(0x79, 1, 1, 0, 0), insn(0x0d, 1, 0, 0, 0), insn(0xb7, 0, 0, 0, 1), exit)
		o.Funcs[0].Off, o.Funcs[0].Relocs = off, []elf.Reloc{{Kind: elf.RelocJumpTable}}
		o.JumpTables = []elf.JumpTable{{Off: 8, Targets: targets}}
		return o
	}
	o, err := Link(made(64, 64+32, 64+40, 64+32), newTestKernel(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := o.Maps[0]
	if want := []byte{8: 4, 16: 5, 24: 4, 31: 0}; m.Section != ".jumptables" || !bytes.Equal(m.Data, want) || !m.Frozen {
		t.Errorf("section %+v, want % x", m, want)
	}
	p := o.Programs[0]
	var ops []ir.Op
	for _, in := range p.Code.Insns {
		ops = append(ops, in.Op)
	}
	want := []ir.Op{ir.LdImm64, ir.Ld64, ir.JGe64K, ir.JEq64K, ir.Invalid, ir.JEq64K, ir.Invalid, ir.Mov64K, ir.Exit}
	if !slices.Equal(ops, want) {
		t.Errorf("operations %v, want %v", ops, want)
	}
	// Of the search the first instruction is left, which knows the targets by their values.
	jumps := []ir.Jump{{Value: 4, Target: 7}, {Value: 5, Target: 8}}
	if want := []Goto{{Insn: 2, Jumps: jumps}}; !cmp.Equal(want, p.Gotos) {
		t.Errorf("indirect jumps %+v, want %+v", p.Gotos, want)
	}
	code := *p.Code
	code.Insns, code.Subs = slices.Clone(code.Insns), slices.Clone(code.Subs)
	p.Direct(&code)
	if in := code.Insns[2]; in != (ir.Insn{Op: ir.GotoX, Dst: 1, Orig: 3}) || !cmp.Equal(jumps, code.Subs[0].Jumps) || p.Code.Insns[2].Op != ir.JGe64K {
		t.Errorf("%+v, jumps %v, before %+v", in, code.Subs[0].Jumps, p.Code.Insns[2])
	}
	for _, tc := range []struct {
		name   string
		target uint64
	}{{"before", 56}, {"behind", 64 + 48}, {"between", 64 + 33}} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Link(made(64, 64, tc.target), newTestKernel(t), Options{})
			want := fmt.Sprintf("jump table: element 1 leads to byte %d of the section, outside of the function (64 to 104)", tc.target)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
}
