package kfuncs

import (
	"github.com/schedsim/schedsim/ops"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
)

// Kind is the sort of place from which a program calls kernel functions.
type Kind uint8

// The kinds of places, by the sets of kernel functions that the kernel looks at.
const (
	// KindStructOps is a callback of a scheduler.
	KindStructOps Kind = iota
	// KindForeignStructOps is a callback of another struct_ops (tcp_congestion_ops).
	KindForeignStructOps
	// KindSyscall is a program that user space runs by hand.
	KindSyscall
	// KindTracing is fentry, fexit, fmod_ret, tp_btf, iter, lsm, raw tracepoints, tracepoints and perf events.
	KindTracing
	// KindOther is any other type of program: kprobes, and those of the network.
	KindOther
)

// Context is a place from which a program may want to call kernel functions.
type Context struct {
	Kind Kind
	// Callback and CID (the form of the table) say which callback, for KindStructOps.
	Callback ops.Callback
	CID      bool
	// Sleepable tells that the program may sleep.
	Sleepable bool
	// Type is how messages call the place if it is not a callback ("fentry").
	Type string
}

// StructOps is the context of a scheduler's callback.
func StructOps(cb ops.Callback, cid, sleepable bool) Context {
	return Context{Kind: KindStructOps, Callback: cb, CID: cid, Sleepable: sleepable}
}

// ForeignStructOps is the context of a callback of another struct_ops, of the type given.
func ForeignStructOps(typ string, sleepable bool) Context {
	return Context{Kind: KindForeignStructOps, Sleepable: sleepable, Type: typ}
}

// ContextOf is the context of a program that is not a callback. For struct_ops programs, whose context depends on the
// table that names them, it is not ok; so too for programs of unknown type.
func ContextOf(p *link.Program) (Context, bool) {
	c := Context{Sleepable: p.Sleepable, Type: p.Kind.String()}
	switch p.Kind {
	case elf.KindStructOps, elf.KindUnknown:
		return Context{}, false
	case elf.KindSyscall:
		c.Kind, c.Sleepable = KindSyscall, true
	case elf.KindFentry, elf.KindFexit, elf.KindFmodRet, elf.KindFsession, elf.KindTPBTF, elf.KindRawTP, elf.KindTracepoint,
		elf.KindIter, elf.KindLSM, elf.KindPerfEvent:
		c.Kind = KindTracing
	default:
		c.Kind = KindOther
	}
	return c, true
}

// String is how messages name the context: "dispatch", "init (sleepable)", "fentry programs".
func (c Context) String() string {
	s := c.Type + " programs"
	switch c.Kind {
	case KindStructOps:
		s = ops.ByID(c.Callback).Member(c.CID)
		if c.CID {
			s += " of sched_ext_ops_cid"
		}
	case KindForeignStructOps:
		s = "struct " + c.Type
	}
	if c.Sleepable && c.Kind != KindSyscall {
		s += " (sleepable)"
	}
	return s
}
