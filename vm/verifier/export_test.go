package verifier

import "github.com/schedsim/schedsim/vm/link"

// CheckAll is Check that gives no path up for one that was explored before, with a limit of instructions.
func CheckAll(o *link.Object, p *link.Program, at Attachment, limit int) error {
	v := newVerifier(o, p, at)
	v.followAll, v.maxInsns = true, limit
	if err := v.check(); err != nil {
		return v.located(err)
	}
	return nil
}
