package amd64

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"
)

func TestEncoding(t *testing.T) {
	for _, tc := range []struct {
		name string // in the syntax of Intel
		emit func(*Asm)
		hex  string // from: llvm-mc -triple=x86_64 -x86-asm-syntax=intel -show-encoding
	}{
		{"add rax, rdi", func(a *Asm) { a.AluRR(Add, W64, RAX, RDI) }, "4801f8"},
		{"add eax, edi", func(a *Asm) { a.AluRR(Add, W32, RAX, RDI) }, "01f8"},
		{"sub r13, r15", func(a *Asm) { a.AluRR(Sub, W64, R13, R15) }, "4d29fd"},
		{"or rbx, r8", func(a *Asm) { a.AluRR(Or, W64, RBX, R8) }, "4c09c3"},
		{"and r14d, ecx", func(a *Asm) { a.AluRR(And, W32, R14, RCX) }, "4121ce"},
		{"xor r9d, r9d", func(a *Asm) { a.Zero(R9) }, "4531c9"},
		{"cmp rsi, rdx", func(a *Asm) { a.AluRR(Cmp, W64, RSI, RDX) }, "4839d6"},
		{"add rbx, 1", func(a *Asm) { a.AluRI(Add, W64, RBX, 1) }, "4883c301"},
		{"sub r9, -128", func(a *Asm) { a.AluRI(Sub, W64, R9, -128) }, "4983e980"},
		{"and r15, 128", func(a *Asm) { a.AluRI(And, W64, R15, 128) }, "4981e780000000"},
		{"cmp rax, 74565", func(a *Asm) { a.AluRI(Cmp, W64, RAX, 0x12345) }, "483d45230100"},
		{"xor eax, 2147483647", func(a *Asm) { a.AluRI(Xor, W32, RAX, 0x7fffffff) }, "35ffffff7f"},
		{"add rax, qword ptr [r12 + rdi + 8]", func(a *Asm) { a.AluRM(Add, W64, RAX, AtIndex(R12, RDI, 8)) }, "4903443c08"},
		{"cmp r11, qword ptr [r12 - 2147483640]", func(a *Asm) { a.AluRM(Cmp, W64, R11, At(R12, -0x80000000+8)) }, "4d3b9c2408000080"},
		{"or dword ptr [r12 + rbp], r13d", func(a *Asm) { a.AluMR(Or, W32, AtIndex(R12, RBP, 0), R13) }, "45092c2c"},
		{"add qword ptr [r13], rsi", func(a *Asm) { a.AluMR(Add, W64, At(R13, 0), RSI) }, "49017500"},
		{"add qword ptr [r10 + 16], 1", func(a *Asm) { a.AluMI(Add, W64, At(R10, 16), 1) }, "4983421001"},
		{"cmp dword ptr [rsp], 1000", func(a *Asm) { a.AluMI(Cmp, W32, At(RSP, 0), 1000) }, "813c24e8030000"},
		{"test rdi, rdi", func(a *Asm) { a.TestRR(W64, RDI, RDI) }, "4885ff"},
		{"test r8d, ecx", func(a *Asm) { a.TestRR(W32, R8, RCX) }, "4185c8"},
		{"test rax, 65536", func(a *Asm) { a.TestRI(W64, RAX, 65536) }, "48a900000100"},
		{"test r14d, -2", func(a *Asm) { a.TestRI(W32, R14, -2) }, "41f7c6feffffff"},
		{"mov rbp, rsp", func(a *Asm) { a.MovRR(W64, RBP, RSP) }, "4889e5"},
		{"mov r11d, eax", func(a *Asm) { a.MovRR(W32, R11, RAX) }, "4189c3"},
		{"mov r8d, 305419896", func(a *Asm) { a.MovRI(R8, 0x12345678) }, "41b878563412"},
		{"mov ecx, 4294967295", func(a *Asm) { a.MovRI(RCX, 0xffffffff) }, "b9ffffffff"},
		{"mov rdi, -1", func(a *Asm) { a.MovRI(RDI, -1) }, "48c7c7ffffffff"},
		{"movabs r15, -9223372036854775807", func(a *Asm) { a.MovRI(R15, -0x7fffffffffffffff) }, "49bf0100000000000080"},
		{"movzx esi, byte ptr [r12 + rsi]", func(a *Asm) { a.Load(1, RSI, AtIndex(R12, RSI, 0)) }, "410fb63434"},
		{"movzx r13d, word ptr [r12 + r14 - 2]", func(a *Asm) { a.Load(2, R13, AtIndex(R12, R14, -2)) }, "470fb76c34fe"},
		{"mov edx, dword ptr [rbp]", func(a *Asm) { a.Load(4, RDX, At(RBP, 0)) }, "8b5500"},
		{"mov rdx, qword ptr [r12 + r12 + 1000]", func(a *Asm) { a.Load(8, RDX, AtIndex(R12, R12, 1000)) }, "4b8b9424e8030000"},
		{"movsx rax, byte ptr [r12 + rcx + 127]", func(a *Asm) { a.LoadSX(1, RAX, AtIndex(R12, RCX, 127)) }, "490fbe440c7f"},
		{"movsx r15, word ptr [r12 + rcx + 128]", func(a *Asm) { a.LoadSX(2, R15, AtIndex(R12, RCX, 128)) }, "4d0fbfbc0c80000000"},
		{"movsxd rbx, dword ptr [rbx - 129]", func(a *Asm) { a.LoadSX(4, RBX, At(RBX, -129)) }, "48639b7fffffff"},
		{"mov byte ptr [r12 + rax], dil", func(a *Asm) { a.Store(1, AtIndex(R12, RAX, 0), RDI) }, "41883c04"},
		{"mov byte ptr [r12 + rax], r15b", func(a *Asm) { a.Store(1, AtIndex(R12, RAX, 0), R15) }, "45883c04"},
		{"mov byte ptr [rax], bl", func(a *Asm) { a.Store(1, At(RAX, 0), RBX) }, "8818"},
		{"mov word ptr [r12 + rbp - 8], r8w", func(a *Asm) { a.Store(2, AtIndex(R12, RBP, -8), R8) }, "664589442cf8"},
		{"mov dword ptr [r12 + rbp - 8], eax", func(a *Asm) { a.Store(4, AtIndex(R12, RBP, -8), RAX) }, "4189442cf8"},
		{"mov qword ptr [r12 + rbp - 8], rbp", func(a *Asm) { a.Store(8, AtIndex(R12, RBP, -8), RBP) }, "49896c2cf8"},
		{"mov byte ptr [r12 + rdi + 3], -1", func(a *Asm) { a.StoreImm(1, AtIndex(R12, RDI, 3), -1) }, "41c6443c03ff"},
		{"mov word ptr [r12 + r13 + 3], -2", func(a *Asm) { a.StoreImm(2, AtIndex(R12, R13, 3), -2) }, "6643c7442c03feff"},
		{"mov dword ptr [r10], 100000", func(a *Asm) { a.StoreImm(4, At(R10, 0), 100000) }, "41c702a0860100"},
		{"mov qword ptr [rsp + 8], -5", func(a *Asm) { a.StoreImm(8, At(RSP, 8), -5) }, "48c7442408fbffffff"},
		{"lea r11, [rdi + 2147479552]", func(a *Asm) { a.Lea(W64, R11, At(RDI, 2147479552)) }, "4c8d9f00f0ff7f"},
		{"lea r10d, [r11 + rsi]", func(a *Asm) { a.Lea(W32, R10, AtIndex(R11, RSI, 0)) }, "458d1433"},
		{"movzx edi, dil", func(a *Asm) { a.MovZX(1, RDI, RDI) }, "400fb6ff"},
		{"movzx r9d, r10b", func(a *Asm) { a.MovZX(1, R9, R10) }, "450fb6ca"},
		{"movzx ecx, si", func(a *Asm) { a.MovZX(2, RCX, RSI) }, "0fb7ce"},
		{"movsx rbp, bpl", func(a *Asm) { a.MovSX(1, W64, RBP, RBP) }, "480fbeed"},
		{"movsx r8d, cl", func(a *Asm) { a.MovSX(1, W32, R8, RCX) }, "440fbec1"},
		{"movsx rax, r13w", func(a *Asm) { a.MovSX(2, W64, RAX, R13) }, "490fbfc5"},
		{"movsx ebx, di", func(a *Asm) { a.MovSX(2, W32, RBX, RDI) }, "0fbfdf"},
		{"movsxd r14, ecx", func(a *Asm) { a.MovSX(4, W64, R14, RCX) }, "4c63f1"},
		{"imul rax, r9", func(a *Asm) { a.IMulRR(W64, RAX, R9) }, "490fafc1"},
		{"imul r14d, esi", func(a *Asm) { a.IMulRR(W32, R14, RSI) }, "440faff6"},
		{"imul rbx, r13, -7", func(a *Asm) { a.IMulRI(W64, RBX, R13, -7) }, "496bddf9"},
		{"imul edx, edx, 1000", func(a *Asm) { a.IMulRI(W32, RDX, RDX, 1000) }, "69d2e8030000"},
		{"neg r13", func(a *Asm) { a.Unary(Neg, W64, R13) }, "49f7dd"},
		{"mul r11", func(a *Asm) { a.Unary(Mul, W64, R11) }, "49f7e3"},
		{"div ecx", func(a *Asm) { a.Unary(Div, W32, RCX) }, "f7f1"},
		{"idiv r8", func(a *Asm) { a.Unary(IDiv, W64, R8) }, "49f7f8"},
		{"cqo", func(a *Asm) { a.SignExtendAcc(W64) }, "4899"},
		{"cdq", func(a *Asm) { a.SignExtendAcc(W32) }, "99"},
		{"shl rdi, 63", func(a *Asm) { a.ShiftRI(Shl, W64, RDI, 63) }, "48c1e73f"},
		{"shr r10d, 1", func(a *Asm) { a.ShiftRI(Shr, W32, R10, 1) }, "41d1ea"},
		{"sar rax, 3", func(a *Asm) { a.ShiftRI(Sar, W64, RAX, 3) }, "48c1f803"},
		{"shl r15, cl", func(a *Asm) { a.ShiftCL(Shl, W64, R15) }, "49d3e7"},
		{"sar edx, cl", func(a *Asm) { a.ShiftCL(Sar, W32, RDX) }, "d3fa"},
		{"rol r8w, 8", func(a *Asm) { a.Rol16(R8, 8) }, "6641c1c008"},
		{"rol cx, 8", func(a *Asm) { a.Rol16(RCX, 8) }, "66c1c108"},
		{"shlx rax, rdi, rcx", func(a *Asm) { a.ShiftX(Shl, W64, RAX, RDI, RCX) }, "c4e2f1f7c7"},
		{"shrx r13d, r14d, r8d", func(a *Asm) { a.ShiftX(Shr, W32, R13, R14, R8) }, "c4423bf7ee"},
		{"sarx rsi, r15, rbp", func(a *Asm) { a.ShiftX(Sar, W64, RSI, R15, RBP) }, "c4c2d2f7f7"},
		{"bswap edi", func(a *Asm) { a.Bswap(W32, RDI) }, "0fcf"},
		{"bswap r14", func(a *Asm) { a.Bswap(W64, R14) }, "490fce"},
		{"push rbp", func(a *Asm) { a.Push(RBP) }, "55"},
		{"push r13", func(a *Asm) { a.Push(R13) }, "4155"},
		{"pop rbx", func(a *Asm) { a.Pop(RBX) }, "5b"},
		{"pop r10", func(a *Asm) { a.Pop(R10) }, "415a"},
		{"push 8388608", func(a *Asm) { a.PushImm(8388608) }, "6800008000"},
		{"ret", func(a *Asm) { a.Ret() }, "c3"},
		{"int3", func(a *Asm) { a.Trap() }, "cc"},
		{"pxor xmm0, xmm0; pcmpeqd xmm1, xmm1", func(a *Asm) { a.ZeroHelpers() }, "660fefc0660f76c9"},
		{"movd xmm0, dword ptr [rax + 68]; pcmpeqd xmm1, xmm1", func(a *Asm) { a.LoadHelpers(At(RAX, 68)) }, "660f6e4044660f76c9"},
		{"psubq xmm0, xmm1", func(a *Asm) { a.CountHelper() }, "660ffbc1"},
		{"movd dword ptr [r10 + 64], xmm0", func(a *Asm) { a.StoreHelpers(At(R10, 64)) }, "66410f7e4240"},
		{"jmp r11", func(a *Asm) { a.JmpR(R11) }, "41ffe3"},
		{"jmp rax", func(a *Asm) { a.JmpR(RAX) }, "ffe0"},
		{"jmp qword ptr [r12 + r10 + 64]", func(a *Asm) { a.JmpM(AtIndex(R12, R10, 64)) }, "43ff641440"},
		{"movq xmm4, qword ptr [r12 + rdx]", func(a *Asm) { a.LoadX(4, AtIndex(R12, RDX, 0)) }, "f3410f7e2414"},
		{"movq qword ptr [r12 + rax + 56], xmm11", func(a *Asm) { a.StoreX(AtIndex(R12, RAX, 56), 11) }, "66450fd65c0438"},
		{"movq xmm2, rsp", func(a *Asm) { a.MovToX(2, RSP) }, "66480f6ed4"},
		{"movq rsp, xmm2", func(a *Asm) { a.MovFromX(RSP, 2) }, "66480f7ed4"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var a Asm
			tc.emit(&a)
			code := a.Code()
			if got := hex.EncodeToString(code); got != tc.hex {
				t.Errorf("got %s, want %s", got, tc.hex)
			}
			in, err := x86asm.Decode(code, 64)
			if !strings.Contains(tc.name, "; ") && (tc.name[0] != 's' || !strings.Contains(tc.name, "x ")) { // x86asm does not know BMI2
				if err != nil || in.Len != len(code) {
					t.Errorf("%x decodes as %v, %d bytes, %v", code, in, in.Len, err)
				}
			}
		})
	}
}

var all64 = []x86asm.Reg{
	x86asm.RAX, x86asm.RCX, x86asm.RDX, x86asm.RBX, x86asm.RSP, x86asm.RBP, x86asm.RSI, x86asm.RDI,
	x86asm.R8, x86asm.R9, x86asm.R10, x86asm.R11, x86asm.R12, x86asm.R13, x86asm.R14, x86asm.R15,
}

// Every combination of registers and kinds of displacement decodes to what was asked for.
func TestMemoryOperands(t *testing.T) {
	for reg := RAX; reg <= R15; reg++ {
		for base := RAX; base <= R15; base++ {
			for index := RAX; index <= R15; index++ {
				for _, disp := range []int32{0, 1, -1, 127, -128, 128, -129, 1 << 30, -1 << 31} {
					var a Asm
					a.Load(8, reg, Mem{base, index, disp})
					code := a.Code()
					in, err := x86asm.Decode(code, 64)
					if err != nil || in.Len != len(code) || in.Op != x86asm.MOV {
						t.Fatalf("mov %v, [%v+%v%+d]: %x is %v, %v", reg, base, index, disp, code, in, err)
					}
					want := x86asm.Mem{Base: all64[base], Disp: int64(disp)}
					if index != RSP {
						want.Index, want.Scale = all64[index], 1
					}
					got := in.Args[1].(x86asm.Mem)
					got.Disp = int64(int32(got.Disp)) // four bytes come without their sign
					if got.Index == 0 {
						got.Scale = 0
					}
					if in.Args[0] != all64[reg] || got != want {
						t.Fatalf("mov %v, [%v+%v%+d]: %x is %v", reg, base, index, disp, code, in)
					}
				}
			}
		}
	}
}

// jumpCode has a backward and a forward jump over pad bytes each.
func jumpCode(a *Asm, pad int) {
	back, fwd := a.NewLabel(), a.NewLabel()
	a.Bind(back)
	for range pad {
		a.Trap()
	}
	a.Jcc(CondNE, back)
	a.Jmp(fwd)
	for range pad {
		a.Trap()
	}
	a.Bind(fwd)
	a.Ret()
}

func TestJumps(t *testing.T) {
	for _, tc := range []struct {
		name      string
		pad       int
		back, fwd int // lengths of the jumps after the second pass
		first     int // length of the forward jump in the first pass
	}{
		{"none", 0, 2, 2, 5},
		{"short", 100, 2, 2, 5},
		{"last short backward", 126, 2, 2, 5},
		{"near backward", 127, 6, 2, 5},
		{"far", 1000, 6, 5, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var a Asm
			jumpCode(&a, tc.pad)
			first := slices.Clone(a.Code())
			a.Again()
			jumpCode(&a, tc.pad)
			for i, code := range [][]byte{first, a.Code()} {
				j, err := x86asm.Decode(code[tc.pad:], 64)
				if err != nil || j.Len != tc.back || int(j.Args[0].(x86asm.Rel)) != -tc.pad-tc.back {
					t.Errorf("pass %d: backward jump is %v, %d bytes, %v", i+1, j, j.Len, err)
				}
				want := tc.fwd
				if i == 0 {
					want = tc.first
				}
				j, err = x86asm.Decode(code[tc.pad+tc.back:], 64)
				if err != nil || j.Len != want || int(j.Args[0].(x86asm.Rel)) != tc.pad {
					t.Errorf("pass %d: forward jump is %v, %d bytes, %v", i+1, j, j.Len, err)
				}
			}
		})
	}
}

func TestLeaLabel(t *testing.T) {
	var a Asm
	l := a.NewLabel()
	a.LeaLabel(R10, l)
	a.Trap()
	a.Bind(l)
	if got := hex.EncodeToString(a.Code()); got != "4c8d1501000000cc" {
		t.Errorf("got %s", got)
	}
}
