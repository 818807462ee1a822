//go:build linux && (amd64 || arm64)

package native

// Enter enters machine code as Run did last, with nothing of what Run does around it, for those who want to know what an entry
// costs. It tells whether the program came to its end.
func (c *Code) Enter() bool {
	x := c.x
	x.left = c.first
	enter(x)
	return x.exit == ExitDone
}

// EnterBare is Enter for a program that calls functions, with nothing in Go of what a call has around it but the function itself: no
// faults, no other programs to go on. It is the least that calls can take which leave machine code and come back.
func (c *Code) EnterBare() bool {
	x, call := c.x, c.env.Call
	x.left = c.first
	enter(x)
	for x.called() {
		x.r0 = x.site().fn(call, &x.args)
		resume(x)
	}
	return x.exit == ExitDone
}
