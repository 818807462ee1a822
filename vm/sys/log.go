package sys

import (
	"strings"

	"github.com/schedsim/schedsim/vm/abi"
)

// vlog is a log that user space asked for. It follows bpf_verifier_vlog and bpf_log_attr_finalize: the caller gets the end
// of the text, or its beginning if it wants that, and the size that it would have needed.
type vlog struct {
	c           *call
	to          *attr // whose caller learns the true size
	trueAt      int   // of the field there, -1 if the caller's structure is too short
	buf         uint64
	level, size uint32
	text        strings.Builder
	all         int // bytes that were written
}

// Bits of the log level.
const (
	logFixed = 8
	logMask  = 15
)

// log takes the log's attributes from the places given, or the common ones.
func (c *call) log(bufAt, sizeAt, levelAt, trueAt int) (*vlog, error) {
	l := &vlog{c: c, to: &c.attr, trueAt: trueAt, buf: c.u64(bufAt), size: c.u32(sizeAt), level: c.u32(levelAt)}
	if trueAt+4 > len(c.user) {
		l.trueAt = -1
	}
	common := c.takeCommon()
	if !common.valid() || !l.valid() {
		return nil, refuse(abi.EINVAL, "log of level %d with %d bytes at %#x", l.level, l.size, l.buf)
	}
	if l.buf != 0 && common.buf != 0 && (l.buf != common.buf || l.size != common.size || l.level != common.level) {
		return nil, refuse(abi.EINVAL, "two different logs")
	}
	if l.buf == 0 && common.buf != 0 {
		return common, nil
	}
	return l, nil
}

// commonLog is the log of commands that have none of their own.
func (c *call) commonLog() (*vlog, error) {
	l := c.takeCommon()
	if !l.valid() {
		return nil, refuse(abi.EINVAL, "log of level %d with %d bytes at %#x", l.level, l.size, l.buf)
	}
	return l, nil
}

func (c *call) takeCommon() *vlog {
	l := &vlog{c: c, to: &c.common, trueAt: 16}
	if c.noCommon || len(c.common.user) < commonSize {
		l.trueAt = -1
	}
	if !c.noCommon {
		l.buf, l.size, l.level = c.common.u64(0), c.common.u32(8), c.common.u32(12)
	}
	return l
}

// valid follows bpf_verifier_log_attr_valid.
func (l *vlog) valid() bool {
	return (l.buf != 0) == (l.size != 0) && (l.buf == 0 || l.level != 0) && l.level&^logMask == 0 && l.size <= (1<<32-1)>>2
}

// line adds a line.
func (l *vlog) line(s string) {
	if l.level == 0 {
		return
	}
	l.all += len(s) + 1
	if l.level&logFixed != 0 && l.text.Len() > int(l.size) {
		return // what comes now does not fit any more
	}
	l.text.WriteString(s)
	l.text.WriteByte('\n')
	if keep := int(l.size) + maxKept; l.level&logFixed == 0 && l.text.Len() > 2*keep {
		tail := l.text.String()[l.text.Len()-keep:]
		l.text.Reset()
		l.text.WriteString(tail)
	}
}

// maxKept is how much of a log is kept beyond the caller's buffer.
const maxKept = 1 << 16

// finish hands the log out. Its error goes before that of the command: EFAULT, ENOSPC if the log was cut.
func (l *vlog) finish() error {
	n := uint32(0)
	var err error
	if l.level != 0 {
		text := l.text.String()
		if text != "" {
			n = uint32(min(l.all, 1<<32-2)) + 1
		}
		if l.buf != 0 && n > 0 {
			if room := int(l.size) - 1; l.all > room {
				err = refuse(abi.ENOSPC, "log of %d bytes does not fit %d", n, l.size)
				if l.level&logFixed != 0 {
					text = text[:room]
				} else {
					text = text[len(text)-room:]
				}
			}
			if e := l.c.write(l.buf, append([]byte(text), 0)); e != nil {
				err = e
			}
		}
	}
	if l.trueAt >= 0 {
		if e := l.to.put(l.trueAt, n); e != nil {
			err = e
		}
	}
	return err
}
