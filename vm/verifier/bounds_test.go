package verifier

import (
	"math/bits"
	"testing"

	"pgregory.net/rapid"

	"github.com/schedsim/schedsim/vm/ir"
)

// drawNum draws a value and something known of it.
func drawNum(t *rapid.T, name string) (uint64, num) {
	v, b := drawTnum(t, name)
	n := num{bits: b, r64: drawArc(t, name+" r64", v), r32: drawArc(t, name+" r32", uint32(v))}
	if rapid.Bool().Draw(t, name+" synced") {
		n.sync()
	}
	if !n.may(v) {
		t.Fatalf("%s: sync lost %#x: %+v", name, v, n)
	}
	return v, n
}

func TestSync(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, n := drawNum(t, "n")
		was := n
		n.sync()
		if !n.may(v) {
			t.Fatalf("%+v synced is %+v, lacks %#x", was, n, v)
		}
		if !was.r64.covers(n.r64) && was.r64.size < n.r64.size {
			t.Fatalf("%+v synced is %+v, wider", was, n)
		}
	})
}

// concrete is the machine's result.
func concrete(k aluKind, wide bool, a, b uint64) uint64 {
	if !wide {
		x, y := uint32(a), uint32(b)
		switch k {
		case aluAdd:
			x += y
		case aluSub:
			x -= y
		case aluMul:
			x *= y
		case aluDiv:
			if x != 0 && y != 0 {
				x /= y
			} else if y == 0 {
				x = 0
			}
		case aluSDiv:
			switch {
			case y == 0:
				x = 0
			case y == ^uint32(0):
				x = -x
			default:
				x = uint32(int32(x) / int32(y))
			}
		case aluMod:
			if y != 0 {
				x %= y
			}
		case aluSMod:
			switch {
			case y == 0:
			case y == ^uint32(0):
				x = 0
			default:
				x = uint32(int32(x) % int32(y))
			}
		case aluOr:
			x |= y
		case aluAnd:
			x &= y
		case aluXor:
			x ^= y
		case aluLsh:
			x <<= y & 31
		case aluRsh:
			x >>= y & 31
		case aluArsh:
			x = uint32(int32(x) >> (y & 31))
		}
		return uint64(x)
	}
	switch k {
	case aluAdd:
		return a + b
	case aluSub:
		return a - b
	case aluMul:
		return a * b
	case aluDiv:
		if b == 0 {
			return 0
		}
		return a / b
	case aluSDiv:
		switch b {
		case 0:
			return 0
		case ^uint64(0):
			return -a
		}
		return uint64(int64(a) / int64(b))
	case aluMod:
		if b == 0 {
			return a
		}
		return a % b
	case aluSMod:
		switch b {
		case 0:
			return a
		case ^uint64(0):
			return 0
		}
		return uint64(int64(a) % int64(b))
	case aluOr:
		return a | b
	case aluAnd:
		return a & b
	case aluXor:
		return a ^ b
	case aluLsh:
		return a << (b & 63)
	case aluRsh:
		return a >> (b & 63)
	}
	return uint64(int64(a) >> (b & 63))
}

func TestALU(t *testing.T) {
	for k := aluAdd; k < aluMov; k++ {
		for _, wide := range []bool{true, false} {
			name := k.String() + " 32"
			if wide {
				name = k.String() + " 64"
			}
			t.Run(name, func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					a, x := drawNum(t, "a")
					b, y := drawNum(t, "b")
					if k >= aluLsh && rapid.Bool().Draw(t, "shift") {
						b &= 63
						y = knownNum(b)
					} else if k >= aluDiv && k <= aluSMod && rapid.Bool().Draw(t, "by constant") {
						y = knownNum(b)
					}
					r := x
					r.alu(k, wide, y)
					if want := concrete(k, wide, a, b); !r.may(want) {
						t.Fatalf("%#x %v %#x = %#x:\n%+v\n%+v\n%+v", a, k, b, want, x, y, r)
					}
				})
			})
		}
	}
}

func TestUnary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, n := drawNum(t, "n")
		check := func(name string, f func(n *num), want uint64) {
			r := n
			f(&r)
			if !r.may(want) {
				t.Fatalf("%s of %#x in %+v: %+v lacks %#x", name, v, n, r, want)
			}
		}
		check("neg64", func(n *num) { n.negate(true) }, -v)
		check("neg32", func(n *num) { n.negate(false) }, uint64(-uint32(v)))
		check("zext", func(n *num) { n.zext(); n.sync() }, uint64(uint32(v)))
		for _, size := range []int{1, 2, 4} {
			check("truncate", func(n *num) { n.truncate(size) }, v&(1<<(8*size)-1))
			check("sext", func(n *num) { n.signExtend(size) }, uint64(sextBytes(v, size)))
		}
		for _, size := range []int{1, 2} {
			check("sext32", func(n *num) { n.signExtend32(size); n.zext(); n.sync() }, uint64(uint32(sextBytes(v, size))))
		}
		for op, want := range map[ir.Op]uint64{
			ir.LE16: v & 0xffff, ir.LE32: v & 0xffffffff, ir.LE64: v,
			ir.BE16: uint64(bits.ReverseBytes16(uint16(v))), ir.BE32: uint64(bits.ReverseBytes32(uint32(v))), ir.BE64: bits.ReverseBytes64(v),
			ir.BSwap16: uint64(bits.ReverseBytes16(uint16(v))), ir.BSwap32: uint64(bits.ReverseBytes32(uint32(v))), ir.BSwap64: bits.ReverseBytes64(v),
		} {
			check("bytes", func(n *num) { n.swapBytes(op) }, want)
		}
	})
}

func holds(k jmpKind, wide bool, a, b uint64) bool {
	s, u := int64(b), int64(a)
	if !wide {
		a, b = uint64(uint32(a)), uint64(uint32(b))
		u, s = int64(int32(a)), int64(int32(b))
	}
	switch k {
	case jEq:
		return a == b
	case jNe:
		return a != b
	case jGt:
		return a > b
	case jGe:
		return a >= b
	case jLt:
		return a < b
	case jLe:
		return a <= b
	case jSGt:
		return u > s
	case jSGe:
		return u >= s
	case jSLt:
		return u < s
	case jSLe:
		return u <= s
	case jSet:
		return a&b != 0
	}
	return a&b == 0
}

// TestBranch: a decision agrees with the machine, and refinement keeps the values that took the branch.
func TestBranch(t *testing.T) {
	for k := jEq; k <= jSet; k++ {
		for _, wide := range []bool{true, false} {
			t.Run(string(rune('a'+k))+map[bool]string{true: "64", false: "32"}[wide], func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					a, x := drawNum(t, "a")
					b, y := drawNum(t, "b")
					if rapid.Bool().Draw(t, "equal") {
						b = a
						y = x
					}
					is := holds(k, wide, a, b)
					if v := compare(&x, &y, k, wide, false); v != either && (v == always) != is {
						t.Fatalf("%#x %v %#x is %v, decided %v\n%+v\n%+v", a, k, b, is, v, x, y)
					}
					taken := k
					if !is {
						taken = k.not()
					}
					r, s := x, y
					refine(&r, &s, taken, wide)
					if !r.may(a) || !s.may(b) {
						t.Fatalf("%#x %v %#x: refined to\n%+v\n%+v\nfrom\n%+v\n%+v", a, taken, b, r, s, x, y)
					}
				})
			})
		}
	}
}
