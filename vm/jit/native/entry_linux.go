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
