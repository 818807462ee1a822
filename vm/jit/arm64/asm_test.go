package arm64

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"testing"

	"golang.org/x/arch/arm64/arm64asm"
)

func TestEncoding(t *testing.T) {
	for _, tc := range []struct {
		name string
		emit func(*Asm)
		hex  string // from: llvm-mc -triple=aarch64 -show-encoding
	}{
		{"add x7, x7, x0", func(a *Asm) { a.AluRR(Add, W64, X7, X7, X0) }, "e700008b"},
		{"add w7, w7, w0", func(a *Asm) { a.AluRR(Add, W32, X7, X7, X0) }, "e700000b"},
		{"sub x20, x22, x25", func(a *Asm) { a.AluRR(Sub, W64, X20, X22, X25) }, "d40219cb"},
		{"neg x3, x3", func(a *Asm) { a.AluRR(Sub, W64, X3, XZR, X3) }, "e30303cb"},
		{"neg w19, w19", func(a *Asm) { a.AluRR(Sub, W32, X19, XZR, X19) }, "f303134b"},
		{"and x0, x1, x2", func(a *Asm) { a.AluRR(And, W64, X0, X1, X2) }, "2000028a"},
		{"orr w21, w22, w3", func(a *Asm) { a.AluRR(Orr, W32, X21, X22, X3) }, "d502032a"},
		{"eor x4, x4, x9", func(a *Asm) { a.AluRR(Eor, W64, X4, X4, X9) }, "840009ca"},
		{"tst x7, x4", func(a *Asm) { a.AluRR(AndS, W64, XZR, X7, X4) }, "ff0004ea"},
		{"cmp x9, x13", func(a *Asm) { a.CmpRR(W64, X9, X13) }, "3f010deb"},
		{"cmp w10, w7", func(a *Asm) { a.CmpRR(W32, X10, X7) }, "5f01076b"},
		{"mov x25, x27", func(a *Asm) { a.MovRR(W64, X25, X27) }, "f9031baa"},
		{"mov w7, w7", func(a *Asm) { a.MovRR(W32, X7, X7) }, "e703072a"},
		{"udiv x7, x7, x0", func(a *Asm) { a.AluRR(UDiv, W64, X7, X7, X0) }, "e708c09a"},
		{"sdiv w10, w3, w9", func(a *Asm) { a.AluRR(SDiv, W32, X10, X3, X9) }, "6a0cc91a"},
		{"lsl x19, x19, x20", func(a *Asm) { a.AluRR(Lsl, W64, X19, X19, X20) }, "7322d49a"},
		{"lsr w0, w1, w2", func(a *Asm) { a.AluRR(Lsr, W32, X0, X1, X2) }, "2024c21a"},
		{"asr x21, x21, x7", func(a *Asm) { a.AluRR(Asr, W64, X21, X21, X7) }, "b52ac79a"},
		{"add x7, x16, x7, lsl #3", func(a *Asm) { a.AddShifted(X7, X16, X7, 3) }, "070e078b"},
		{"add x7, x16, x7, lsl #30", func(a *Asm) { a.AddShifted(X7, X16, X7, 30) }, "077a078b"},
		{"madd x7, x7, x10, x16", func(a *Asm) { a.MAdd(W64, X7, X7, X10, X16) }, "e7400a9b"},
		{"msub w3, w10, w9, w3", func(a *Asm) { a.MSub(W32, X3, X10, X9, X3) }, "438d091b"},
		{"umulh x17, x9, x10", func(a *Asm) { a.UMulH(X17, X9, X10) }, "317dca9b"},
		{"mul x22, x22, x9", func(a *Asm) { a.Mul(W64, X22, X22, X9) }, "d67e099b"},
		{"mul w1, w1, w2", func(a *Asm) { a.Mul(W32, X1, X1, X2) }, "217c021b"},
		{"add x25, x25, #512", func(a *Asm) { a.AddImm(W64, X25, X25, 512, false) }, "39030891"},
		{"sub x25, x25, #512", func(a *Asm) { a.AddImm(W64, X25, X25, -512, false) }, "390308d1"},
		{"add w0, w0, #0", func(a *Asm) { a.AddImm(W32, X0, X0, 0, false) }, "00000011"},
		{"subs x23, x23, #5", func(a *Asm) { a.AddImm(W64, X23, X23, -5, true) }, "f71600f1"},
		{"adds w9, w10, #4095", func(a *Asm) { a.AddImm(W32, X9, X10, 4095, true) }, "49fd3f31"},
		{"add x9, x9, #1, lsl #12", func(a *Asm) { a.AddImm(W64, X9, X9, 4096, false) }, "29054091"},
		{"sub x23, x23, #244, lsl #12; subs x23, x23, #576", func(a *Asm) { a.AddImm(W64, X23, X23, -1000000, true) }, "f7d243d1f70209f1"},
		{"add w9, w3, #4095, lsl #12; add w9, w9, #4095", func(a *Asm) { a.AddImm(W32, X9, X3, 1<<24-1, false) }, "69fc7f1129fd3f11"},
		{"cmp x23, #0", func(a *Asm) { a.CmpImm(W64, X23, 0) }, "ff0200f1"},
		{"cmp w7, #5", func(a *Asm) { a.CmpImm(W32, X7, 5) }, "ff140071"},
		{"cmn x0, #1", func(a *Asm) { a.CmpImm(W64, X0, -1) }, "1f0400b1"},
		{"cmn w22, #1, lsl #12", func(a *Asm) { a.CmpImm(W32, X22, -4096) }, "df064031"},
		{"cmp x10, #256, lsl #12", func(a *Asm) { a.CmpImm(W64, X10, 1<<20) }, "5f0144f1"},
		{"and x0, x0, #0xff", func(a *Asm) { a.LogicImm(And, W64, X0, X0, 0xff) }, "001c4092"},
		{"orr w19, w19, #0x80000000", func(a *Asm) { a.LogicImm(Orr, W32, X19, X19, 0x80000000) }, "73020132"},
		{"eor x7, x1, #0x5555555555555555", func(a *Asm) { a.LogicImm(Eor, W64, X7, X1, 0x5555555555555555) }, "27f000d2"},
		{"tst x10, #7", func(a *Asm) { a.LogicImm(AndS, W64, XZR, X10, 7) }, "5f0940f2"},
		{"and x3, x3, #0xfffffffffffffff8", func(a *Asm) { a.LogicImm(And, W64, X3, X3, 0xfffffffffffffff8) }, "63f07d92"},
		{"and w3, w3, #0xf00ff00f", func(a *Asm) { a.LogicImm(And, W32, X3, X3, 0xfffffffff00ff00f) }, "639c0412"},
		{"orr x3, x4, #0xc00000000000001f", func(a *Asm) { a.LogicImm(Orr, W64, X3, X4, 0xc00000000000001f) }, "831842b2"},
		{"mov w7, #0", func(a *Asm) { a.MovRI(X7, 0) }, "07008052"},
		{"mov w9, #4660", func(a *Asm) { a.MovRI(X9, 0x1234) }, "89468252"},
		{"mov w9, #-1", func(a *Asm) { a.MovRI(X9, 0xffffffff) }, "09008012"},
		{"mov x0, #-1", func(a *Asm) { a.MovRI(X0, 0xffffffffffffffff) }, "00008092"},
		{"mov x0, #-129", func(a *Asm) { a.MovRI(X0, 0xffffffffffffff7f) }, "00108092"},
		{"mov w20, #22136; movk w20, #4660, lsl #16", func(a *Asm) { a.MovRI(X20, 0x12345678) }, "14cf8a529446a272"},
		{"mov w2, #-65536", func(a *Asm) { a.MovRI(X2, 0xffff0000) }, "e2ffbf52"},
		{"mov w2, #-2147483648", func(a *Asm) { a.MovRI(X2, 0x80000000) }, "0200b052"},
		{"mov w2, #252645135", func(a *Asm) { a.MovRI(X2, 0x0f0f0f0f) }, "e2cf0032"},
		{"mov x5, #-61440; movk x5, #32768, lsl #16", func(a *Asm) { a.MovRI(X5, 0xffffffff80001000) }, "e5ff9d920500b0f2"},
		{"mov x22, #52719; movk x22, #35243, lsl #16; movk x22, #17767, lsl #32; movk x22, #291, lsl #48", func(a *Asm) { a.MovRI(X22, 0x0123456789abcdef) }, "f6bd99d27635b1f2f6acc8f27624e0f2"},
		{"mov x1, #17592186044416", func(a *Asm) { a.MovRI(X1, 1<<44) }, "0100c2d2"},
		{"mov x1, #2; movk x1, #1, lsl #32", func(a *Asm) { a.MovRI(X1, 1<<32|2) }, "410080d22100c0f2"},
		{"lsl x7, x7, #1", func(a *Asm) { a.ShiftImm(Lsl, W64, X7, X7, 1) }, "e7f87fd3"},
		{"lsl w7, w0, #31", func(a *Asm) { a.ShiftImm(Lsl, W32, X7, X0, 31) }, "07000153"},
		{"lsr x9, x10, #63", func(a *Asm) { a.ShiftImm(Lsr, W64, X9, X10, 63) }, "49fd7fd3"},
		{"lsr w19, w19, #7", func(a *Asm) { a.ShiftImm(Lsr, W32, X19, X19, 7) }, "737e0753"},
		{"asr x4, x4, #12", func(a *Asm) { a.ShiftImm(Asr, W64, X4, X4, 12) }, "84fc4c93"},
		{"asr w4, w4, #30", func(a *Asm) { a.ShiftImm(Asr, W32, X4, X4, 30) }, "847c1e13"},
		{"uxth w3, w3", func(a *Asm) { a.ZeroExtend(2, X3, X3) }, "633c0053"},
		{"uxtb w3, w19", func(a *Asm) { a.ZeroExtend(1, X3, X19) }, "631e0053"},
		{"sxtb x7, w0", func(a *Asm) { a.SignExtend(1, W64, X7, X0) }, "071c4093"},
		{"sxth w7, w0", func(a *Asm) { a.SignExtend(2, W32, X7, X0) }, "073c0013"},
		{"sxtw x22, w21", func(a *Asm) { a.SignExtend(4, W64, X22, X21) }, "b67e4093"},
		{"rev x7, x7", func(a *Asm) { a.Rev(W64, X7, X7) }, "e70cc0da"},
		{"rev w0, w3", func(a *Asm) { a.Rev(W32, X0, X3) }, "6008c05a"},
		{"rev16 w2, w2", func(a *Asm) { a.Rev16(X2, X2) }, "4204c05a"},
		{"ldrb w7, [x24, x0]", func(a *Asm) { a.Load(1, X7, AtIndex(X24, X0)) }, "076b6038"},
		{"ldrh w19, [x11, x9]", func(a *Asm) { a.Load(2, X19, AtIndex(X11, X9)) }, "73696978"},
		{"ldr w2, [x26, #200]", func(a *Asm) { a.Load(4, X2, At(X26, 200)) }, "42cb40b9"},
		{"ldr x25, [x26, #96]", func(a *Asm) { a.Load(8, X25, At(X26, 96)) }, "593340f9"},
		{"ldr x25, [x27, #32760]", func(a *Asm) { a.Load(8, X25, At(X27, 32760)) }, "79ff7ff9"},
		{"ldur x3, [x9, #-8]", func(a *Asm) { a.Load(8, X3, At(X9, -8)) }, "23815ff8"},
		{"ldur w3, [x27, #255]", func(a *Asm) { a.Load(4, X3, At(X27, 255)) }, "63f34fb8"},
		{"ldurb w3, [x27, #-256]", func(a *Asm) { a.Load(1, X3, At(X27, -256)) }, "63035038"},
		{"ldrsb x7, [x24, x4]", func(a *Asm) { a.LoadSX(1, X7, AtIndex(X24, X4)) }, "076ba438"},
		{"ldrsh x7, [x27, #510]", func(a *Asm) { a.LoadSX(2, X7, At(X27, 510)) }, "67ff8379"},
		{"ldrsw x20, [x11, x9]", func(a *Asm) { a.LoadSX(4, X20, AtIndex(X11, X9)) }, "7469a9b8"},
		{"ldursw x20, [x9, #-3]", func(a *Asm) { a.LoadSX(4, X20, At(X9, -3)) }, "34d19fb8"},
		{"strb w0, [x24, x1]", func(a *Asm) { a.Store(1, AtIndex(X24, X1), X0) }, "006b2138"},
		{"strh wzr, [x27, #4]", func(a *Asm) { a.Store(2, At(X27, 4), XZR) }, "7f0b0079"},
		{"stur w22, [x9, #1]", func(a *Asm) { a.Store(4, At(X9, 1), X22) }, "361100b8"},
		{"str x6, [x26, #88]", func(a *Asm) { a.Store(8, At(X26, 88), X6) }, "462f00f9"},
		{"str xzr, [x11, x9]", func(a *Asm) { a.Store(8, AtIndex(X11, X9), XZR) }, "7f6929f8"},
		{"stp x2, x3, [x6, #16]", func(a *Asm) { a.StorePair(X6, 16, X2, X3) }, "c20c01a9"},
		{"ldp x24, x11, [x26]", func(a *Asm) { a.LoadPair(X24, X11, X26, 0) }, "582f40a9"},
		{"ldp x14, x15, [x26, #504]", func(a *Asm) { a.LoadPair(X14, X15, X26, 504) }, "4ebf5fa9"},
		{"stp x0, x1, [x6, #-88]!", func(a *Asm) { a.PushPair(X6, 88, X0, X1) }, "c084baa9"},
		{"ldp x19, xzr, [x6], #16", func(a *Asm) { a.PopPair(X19, XZR, X6, 16) }, "d37cc1a8"},
		{"str x9, [x6, #-8]!", func(a *Asm) { a.Push(X6, X9) }, "c98c1ff8"},
		{"ldr x9, [x6], #8", func(a *Asm) { a.Pop(X9, X6) }, "c98440f8"},
		{"ret", func(a *Asm) { a.Ret() }, "c0035fd6"},
		{"brk #0", func(a *Asm) { a.Trap() }, "000020d4"},
		{"br x16", func(a *Asm) { a.Br(X16) }, "00021fd6"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var a Asm
			tc.emit(&a)
			if got := hex.EncodeToString(bytesOf(t, &a)); got != tc.hex {
				t.Errorf("got %s, want %s", got, tc.hex)
			}
		})
	}
}

// Operands that no instruction takes are refused, with nothing emitted.
func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		emit func(*Asm) bool
	}{
		{"add of 25 bits", func(a *Asm) bool { return a.AddImm(W64, X0, X0, 1<<24, false) }},
		{"subtract the smallest", func(a *Asm) bool { return a.AddImm(W64, X0, X0, -1<<63, false) }},
		{"compare 13 bits", func(a *Asm) bool { return a.CmpImm(W64, X0, 4097) }},
		{"compare the smallest", func(a *Asm) bool { return a.CmpImm(W64, X0, -1<<63) }},
		{"zero mask", func(a *Asm) bool { return a.LogicImm(And, W64, X0, X0, 0) }},
		{"full mask", func(a *Asm) bool { return a.LogicImm(And, W64, X0, X0, 1<<64-1) }},
		{"full mask of 32 bits", func(a *Asm) bool { return a.LogicImm(And, W32, X0, X0, 1<<32-1) }},
		{"two runs", func(a *Asm) bool { return a.LogicImm(And, W64, X0, X0, 5) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var a Asm
			if tc.emit(&a) || a.Pos() != 0 {
				t.Errorf("emitted %x", bytesOf(t, &a))
			}
		})
	}
}

func bytesOf(t *testing.T, a *Asm) []byte {
	t.Helper()
	code, ok := a.Code()
	if !ok {
		t.Fatal("a jump does not reach")
	}
	return code
}

// Every constant that the logical instructions can have is found, and no other: there are 5334 of 64 bits and 1302 of 32.
func TestBitmasks(t *testing.T) {
	for _, tc := range []struct {
		w    Width
		want int
	}{{W64, 5334}, {W32, 1302}} {
		seen := map[uint64]bool{}
		for size := 2; size <= int(tc.w.bits()); size *= 2 {
			for ones := 1; ones < size; ones++ {
				for rot := range size {
					e := uint64(1)<<ones - 1
					e = (e>>rot | e<<(size-rot)) & (^uint64(0) >> (64 - size))
					v := e
					for n := size; n < 64; n *= 2 {
						v |= v << n
					}
					if tc.w == W32 {
						v &= 1<<32 - 1
					}
					seen[v] = true
					enc, ok := bitmask(tc.w, v)
					if !ok || decodeBitmask(enc, tc.w) != v {
						t.Fatalf("%#x of %d bits: %#x, %v", v, tc.w.bits(), enc, ok)
					}
					if _, ok := bitmask(tc.w, v^1<<(size/2)); ok != isRun(v^1<<(size/2), tc.w) {
						t.Fatalf("%#x of %d bits: %v", v^1<<(size/2), tc.w.bits(), ok)
					}
				}
			}
		}
		if len(seen) != tc.want {
			t.Errorf("%d constants of %d bits, want %d", len(seen), tc.w.bits(), tc.want)
		}
	}
}

// decodeBitmask follows DecodeBitMasks of the architecture's manual.
func decodeBitmask(enc uint32, w Width) uint64 {
	n, immr, imms := enc>>12&1, enc>>6&63, enc&63
	size := 1 << (31 - bits.LeadingZeros32(n<<6|^imms&63))
	s, r := int(imms)&(size-1), int(immr)&(size-1)
	e := uint64(1)<<(s+1) - 1
	e = (e>>r | e<<(size-r)) & (^uint64(0) >> (64 - size))
	for ; size < 64; size *= 2 {
		e |= e << size
	}
	if w == W32 {
		e &= 1<<32 - 1
	}
	return e
}

// isRun tells by trying whether v is a rotated run of ones, repeated.
func isRun(v uint64, w Width) bool {
	for size := 2; size <= int(w.bits()); size *= 2 {
		for ones := 1; ones < size; ones++ {
			for rot := range size {
				e := uint64(1)<<ones - 1
				e = (e>>rot | e<<(size-rot)) & (^uint64(0) >> (64 - size))
				for n := size; n < int(w.bits()); n *= 2 {
					e |= e << n
				}
				if e == v {
					return true
				}
			}
		}
	}
	return false
}

// A constant is made of at most four instructions that build just it.
func TestConstants(t *testing.T) {
	check := func(v uint64, most int) {
		var a Asm
		a.MovRI(X9, v)
		code := bytesOf(t, &a)
		got := uint64(0)
		for i := 0; i < len(code); i += 4 {
			w := binary.LittleEndian.Uint32(code[i:])
			h, shift := uint64(w>>5&0xffff), w>>21&3*16
			switch w >> 23 & 0x3f {
			case 0x24: // orr
				if h := w >> 10 & 0x1fff; w>>31 != 0 {
					got = decodeBitmask(h, W64)
				} else {
					got = decodeBitmask(h, W32)
				}
				if w>>29&3 != 1 {
					t.Fatalf("%#x: %08x", v, w)
				}
			case 0x25:
				switch w >> 29 & 3 {
				case 0:
					got = ^(h << shift)
					if w>>31 == 0 {
						got &= 1<<32 - 1
					}
				case 2:
					got = h << shift
				case 3:
					got = got&^(0xffff<<shift) | h<<shift
				}
			default:
				t.Fatalf("%#x: %08x", v, w)
			}
		}
		if got != v || len(code) > 4*most || len(code) == 0 {
			t.Fatalf("%#x becomes %#x in %d instructions", v, got, len(code)/4)
		}
	}
	halves := []uint64{0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff}
	for _, a := range halves {
		for _, b := range halves {
			check(a|b<<16, 2)
			check(^(a | b<<16), 2)
			for _, c := range halves {
				for _, d := range halves {
					check(a|b<<16|c<<32|d<<48, 4)
				}
			}
		}
	}
	for s := range 64 {
		check(1<<s, 1)
		check(^uint64(1<<s), 1)
		check(^uint64(0)<<s, 1)
		check(^uint64(0)>>s, 1)
	}
}

// jumpCode has jumps of all sorts backwards and forwards over pad instructions.
func jumpCode(a *Asm, pad int) {
	back, fwd := a.NewLabel(), a.NewLabel()
	a.Bind(back)
	for range pad {
		a.Trap()
	}
	for _, l := range []Label{back, fwd} {
		a.B(l)
		a.BCond(NE, l)
		a.BZero(W64, X7, true, l)
		a.BZero(W32, X19, false, l)
		a.Adr(X9, l)
	}
	for range pad {
		a.Trap()
	}
	a.Bind(fwd)
	a.Ret()
}

// Jumps go where they should, near and far, as another decoder reads them.
func TestJumps(t *testing.T) {
	for _, tc := range []struct {
		name string
		pad  int
		far  bool // the short forms do not reach
	}{
		{"none", 0, false}, {"some", 1000, false}, {"last short", 1<<18 - 9, false}, {"near", 1 << 18, true}, {"far", 1 << 20, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var a Asm
			jumpCode(&a, tc.pad)
			code, ok := a.Code()
			if ok == tc.far {
				t.Fatalf("short jumps reach: %v", ok)
			}
			if !ok {
				a.Again()
				jumpCode(&a, tc.pad)
				code = bytesOf(t, &a)
			}
			end := int64(len(code)) - 4
			at := int64(4 * tc.pad)
			for _, to := range []int64{0, end} {
				for _, want := range []string{"B", "B NE", "CBNZ X7", "CBZ W19", "ADR"} {
					at = checkJump(t, code, at, to, want, tc.far)
				}
			}
			if at+int64(4*tc.pad) != end {
				t.Errorf("the code ends at %d, %d were looked at", end, at)
			}
		})
	}
}

// checkJump checks that the jump at that place is the one wanted and returns where the next begins.
func checkJump(t *testing.T, code []byte, at, to int64, want string, far bool) int64 {
	t.Helper()
	decode := func() arm64asm.Inst {
		in, err := arm64asm.Decode(code[at : at+4])
		if err != nil {
			t.Fatalf("at %d: %x: %v", at, code[at:at+4], err)
		}
		at += 4
		return in
	}
	in := decode()
	rel := int64(0)
	for _, arg := range in.Args {
		if p, ok := arg.(arm64asm.PCRel); ok {
			rel = int64(p)
		}
	}
	from := at - 4
	inverse := map[string]string{"B NE": "B EQ", "CBNZ X7": "CBZ X7", "CBZ W19": "CBNZ W19"}
	head := in.Op.String()
	if c, ok := in.Args[0].(arm64asm.Cond); ok {
		head += " " + c.String()
	} else if r, ok := in.Args[0].(arm64asm.Reg); ok && in.Op != arm64asm.ADR && in.Op != arm64asm.ADRP {
		head += " " + r.String()
	}
	switch {
	case far && want == "ADR":
		add := decode()
		low := int64(binary.LittleEndian.Uint32(code[at-4:]) >> 10 & 0xfff)
		if in.Op != arm64asm.ADRP || add.Op != arm64asm.ADD || from&^4095+rel+low != to {
			t.Errorf("at %d: %v; %v leads to %d, want %d", from, in, add, from&^4095+rel+low, to)
		}
		return at
	case far && inverse[want] != "":
		if head != inverse[want] || rel != 8 {
			t.Errorf("at %d: %v, want %s over the next", from, in, inverse[want])
		}
		return checkJump(t, code, at, to, "B", far)
	}
	if head != want || from+rel != to {
		t.Errorf("at %d: %v, to %d; want %s to %d", from, in, from+rel, want, to)
	}
	return at
}

// All registers and displacements of accesses decode to what was asked for.
func TestMemoryOperands(t *testing.T) {
	n := 0
	for _, size := range []int{1, 2, 4, 8} {
		for _, base := range []Reg{X6, X9, X11, X24, X26, X27} {
			for disp := int32(-300); disp < int32(4096*size+10); disp += 1 + disp&3 {
				if !Reaches(size, int64(disp)) {
					continue
				}
				var a Asm
				a.Load(size, X7, At(base, disp))
				in, err := arm64asm.Decode(bytesOf(t, &a))
				if err != nil {
					t.Fatal(err)
				}
				m, ok := in.Args[1].(arm64asm.MemImmediate)
				want := fmt.Sprintf("[X%d,#%d]", base, disp)
				if disp == 0 {
					want = fmt.Sprintf("[X%d]", base)
				}
				if !ok || m.String() != want {
					t.Fatalf("load of %d bytes from [x%d%+d] is %v", size, base, disp, in)
				}
				n++
			}
		}
	}
	if n < 8000 {
		t.Errorf("%d operands", n)
	}
}
