package flow

import "github.com/schedsim/schedsim/vm/ir"

// Counter says where machine code takes executed instructions off the budget. What is left must be right wherever Go can see it
// and where it is compared: at exits, calls, and jumps back. In between, instructions are counted together as late as
// possible; where paths meet they must agree on how many are still to count, which the first jump there decides. A jump
// over a few instructions then costs nothing.
//
// The zero value is not ready; call Begin.
type Counter struct {
	// start is where counting would have begun if the way here were straight: at instruction i, i - start are still to count.
	start int32
	// owed is how many are still to count at jump targets: none where jumps lead back to.
	owed  map[int32]int32
	loops []loop
}

// loop is a jump back: from instruction last to first.
type loop struct{ first, last int32 }

// Begin starts a subprogram with the instructions insns, of which the first has number start. Where indirect jumps lead, nothing
// is still to count.
func (c *Counter) Begin(start int32, insns []ir.Insn, jumps []ir.Jump) {
	c.start, c.owed, c.loops = start, map[int32]int32{}, c.loops[:0]
	for k := range insns {
		if in := &insns[k]; in.Op.IsJump() && in.Target <= start+int32(k) {
			c.owed[in.Target] = 0
			c.loops = append(c.loops, loop{in.Target, start + int32(k)})
		}
	}
	for _, j := range jumps {
		c.owed[j.Target] = 0
	}
}

// Owed is how many instructions before i are still to count.
func (c *Counter) Owed(i int32) int32 { return i - c.start }

// Take returns how many instructions before i are still to count; the caller counts them. There may be fewer than none.
func (c *Counter) Take(i int32) int32 {
	n := i - c.start
	c.start = i
	return n
}

// Owe says that n instructions before i are still to count.
func (c *Counter) Owe(i, n int32) { c.start = i - n }

// Jump returns how many instructions the caller must count before a jump forwards, on both ways: it leads to target and has
// executed extra instructions besides those before next.
func (c *Counter) Jump(next, target, extra int32) int32 {
	n := c.Owed(next) + extra
	owed, ok := c.owed[target]
	if !ok {
		owed = n
		if l := c.entered(next-1, target); l.last != 0 { // the way around the loop matters more
			owed = target - l.first
		}
		c.owed[target] = owed
	}
	c.start += n - owed
	return n - owed
}

// Seldom is Jump for a jump that is seldom made: it decides nothing, and nothing is counted before it. What it returns tells, once the
// subprogram has been gone through, how many instructions must be counted on the way to target.
func (c *Counter) Seldom(next, target int32) func() int32 {
	n, owed := c.Owed(next), c.owed
	return func() int32 { return n - owed[target] }
}

// entered finds the innermost loop that a jump from instruction i to target enters behind its beginning.
func (c *Counter) entered(i, target int32) (in loop) {
	for _, l := range c.loops {
		if i < l.first && l.first <= target && target <= l.last && l.first >= in.first {
			in = l
		}
	}
	return in
}

// Land returns how many instructions who comes the straight way must count before the jump target i; not reached: nobody does.
func (c *Counter) Land(i int32, reached bool) int32 {
	owed, ok := c.owed[i]
	switch n := c.Owed(i) - owed; {
	case reached && !ok: // no jump has decided
		c.owed[i] = c.Owed(i)
		return 0
	case reached:
		c.start = i - owed
		return n
	default:
		c.start = i - owed
		return 0
	}
}
