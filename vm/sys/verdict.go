package sys

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/verifier"
)

// Verified is what the verifier found out about the program: with Options.Attach, when it was accepted.
func (p *Prog) Verified() verifier.Result { return p.result }

// verify asks the verifier, and gives engines and linker what it has found out. It follows bpf_check from
// bpf_check_attach_target on.
func (k *checker) verify() error {
	k.attachName()
	opt := &k.c.k.opt
	if opt.Attach == nil {
		return nil
	}
	at, err := opt.Attach(k.p)
	if err != nil {
		return k.unjudged(err, abi.EINVAL)
	}
	k.moduleAttachment(&at)
	res, err := verifier.Check(k.view(), k.lp, at)
	k.place = &at
	k.p.result = res
	k.p.verified = uint32(res.Insns)
	if err != nil {
		var e *verifier.Error
		if !errors.As(err, &e) {
			return err
		}
		k.log = e.Log
		if e.Code == verifier.CodeUnsupported {
			return k.unjudged(e, abi.ENOTSUPP)
		}
		return &verdict{e}
	}
	k.judged = true
	return nil
}

// unjudged is the error for a program about which nothing can be said; nil where such programs may run with all checks.
func (k *checker) unjudged(err error, e abi.Errno) error {
	opt := &k.c.k.opt
	if opt.Checked && opt.Unjudged != nil && opt.Unjudged(k.p, err) {
		return nil
	}
	return &unjudgedError{err, e}
}

// facts gives the code what verification has found out. Analysis of the code comes before, which knows less.
func (k *checker) facts() {
	if !k.judged {
		return
	}
	code, res := k.lp.Code, &k.p.result
	for i := range code.Insns {
		in := &code.Insns[i]
		in.Proved = res.Proved[i] && !k.c.k.opt.Checked
		if in.Proved && k.place.Context != nil && k.place.Context.Region() == 0 {
			k.lp.CtxSize = uint32(res.CtxSize)
		}
		in.Probe = in.Probe || res.Probe[i]
		in.Arena = in.Arena || res.Arena[i]
	}
	for i := range code.Subs {
		if i < len(res.Stacks) {
			code.Subs[i].Stack = max(code.Subs[i].Stack, int32(res.Stacks[i]+7)&^7)
		}
	}
}

// attachName finds what a tracing program attaches to, by the BTF id that it gave. It follows bpf_check_attach_target.
func (k *checker) attachName() {
	if k.p.attachBTF == 0 || k.p.stType != nil {
		return
	}
	if name, _, err := k.c.k.symbol(k.p.attachBTF); err == nil {
		k.lp.Attach = name
	} else if k.c.k.opt.BTF != nil {
		if t, err := k.c.k.opt.BTF.TypeByID(btf.TypeID(k.p.attachBTF)); err == nil {
			k.lp.Attach = t.TypeName()
		}
	}
	for _, prefix := range []string{"btf_trace_", "bpf_iter_", "bpf_lsm_"} {
		if n := len(prefix); len(k.lp.Attach) > n && k.lp.Attach[:n] == prefix {
			k.lp.Attach = k.lp.Attach[n:]
		}
	}
}

// view is what the verifier sees of the object: the maps by their number in the program, and its types.
func (k *checker) view() *link.Object {
	o := &link.Object{Name: k.p.name, License: k.p.license, Programs: []*link.Program{k.lp}}
	for _, m := range k.p.maps {
		o.Maps = append(o.Maps, m.verifierView())
	}
	if k.p.btf != nil {
		o.BTF = k.p.btf.types()
	}
	return o
}

// verifierView is what the verifier sees of the map.
func (m *Map) verifierView() *link.Map {
	out := &link.Map{Name: m.name, Type: elf.MapType(m.spec.Type), KeySize: m.spec.KeySize, ValueSize: m.spec.ValueSize, MaxEntries: m.spec.MaxEntries,
		Flags: m.flags, Extra: m.extra, Inner: m.inner}
	if a, ok := m.m.(*maps.Array); ok && m.frozen && m.flags&maps.FlagRdonlyProg != 0 && m.spec.MaxEntries == 1 && a.Stride == 0 {
		out.Frozen, out.Data = true, a.Data()
	}
	if a, ok := m.m.(*maps.InsnArray); ok {
		jumpView(out, a)
	}
	if m.btf == nil {
		return out
	}
	if m.keyType != 0 {
		out.Key, _ = m.btf.typ(m.keyType)
	}
	out.Value, _ = m.btf.typ(m.valueType)
	if ds, ok := out.Value.(*btf.Datasec); ok {
		out.Section, out.Value = ds.Name, nil
		for _, v := range ds.Vars {
			if t, ok := v.Type.(*btf.Var); ok {
				out.Vars = append(out.Vars, link.Var{Name: t.Name, Off: v.Offset, Size: v.Size, Type: t.Type})
			}
		}
	}
	return out
}

// verdict is a refusal by the verifier; its number is the kernel's.
type verdict struct{ e *verifier.Error }

func (v *verdict) Error() string { return v.e.Error() }

func (v *verdict) Unwrap() []error { return []error{v.e, errnoOf(v.e)} }

// unjudgedError tells that the verifier cannot say whether a program is safe.
type unjudgedError struct {
	err error
	e   abi.Errno
}

func (u *unjudgedError) Error() string   { return u.err.Error() }
func (u *unjudgedError) Unwrap() []error { return []error{u.err, u.e} }

// errnoOf is the error number that the kernel gives for a refusal of that sort.
func errnoOf(e *verifier.Error) abi.Errno {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(e.Msg, w) })
	}
	switch e.Code {
	case verifier.CodeMapFunc:
		if has("callback function not allowed") {
			return abi.ENOTSUPP
		}
		return abi.EINVAL
	case verifier.CodePointerMath:
		if has("math between", "be out of bounds", " is not allowed") {
			return abi.EINVAL
		}
		return abi.EACCES
	case verifier.CodeLeak:
		if has("reference leak") {
			return abi.EINVAL
		}
		return abi.EACCES
	case verifier.CodeStackAccess:
		var off, size int
		if i := strings.Index(e.Msg, " off="); i >= 0 && !has("helper function") {
			fmt.Sscanf(e.Msg[i:], " off=%d size=%d", &off, &size)
		}
		if has("invalid variable-offset") || -512 <= off && off < 0 && off+size > 0 { // which ends above the frame
			return abi.EINVAL
		}
		return abi.EACCES
	case verifier.CodeBadPointer, verifier.CodeBTFAccess, verifier.CodeSpill, verifier.CodeArgType:
		if has("same insn cannot be used", "doesn't have field", "cannot spill pointers to stack", "is not a scalar", "has to have BTF") {
			return abi.EINVAL
		}
		return abi.EACCES
	case verifier.CodeDynptr, verifier.CodeReturn:
		if has("potential write to dynptr", "not a scalar value") {
			return abi.EACCES
		}
		return abi.EINVAL
	case verifier.CodeTooComplex, verifier.CodeCallDepth:
		return abi.E2BIG
	case verifier.CodeUninitReg, verifier.CodeFramePointer, verifier.CodeStackSize,
		verifier.CodeUninitStack, verifier.CodeCtxAccess, verifier.CodeNull, verifier.CodeBounds,
		verifier.CodeReadOnly, verifier.CodeAlignment, verifier.CodeSpecialField, verifier.CodeAtomic,
		verifier.CodeArgValue, verifier.CodeUntrusted, verifier.CodeKfunc:
		return abi.EACCES
	}
	return abi.EINVAL
}

// Bits of the log's level.
const (
	logPath  = 1 // the path to the refusal
	logAll   = 2 // every path
	logStats = 4
)

// report writes what the kernel's log says at the end. It follows print_verification_stats; time stands still in a system
// call.
func (l *vlog) report(k *checker) {
	switch {
	case l.level&logAll != 0 && k.place != nil:
		verifier.Trace(k.view(), k.lp, *k.place, l.line)
	case l.level&(logPath|logAll) != 0:
		for _, s := range k.log {
			l.line(s)
		}
	}
	res := &k.p.result
	if l.level&logStats != 0 {
		l.line("verification time 0 usec")
		s := "stack depth"
		for i, n := range res.Stacks {
			sep := "+"
			if i == 0 {
				sep = " "
			}
			s += fmt.Sprintf("%s%d", sep, n)
		}
		l.line(fmt.Sprintf("%s max %d", s, res.MaxStackDepth))
	}
	l.line(fmt.Sprintf("processed %d insns (limit %d) max_states_per_insn %d total_states %d peak_states %d mark_read 0",
		k.p.verified, maxInsns, res.MaxStatesPerInsn, res.States, res.PeakStates))
}

// netSection is the section of programs of the network and of cgroups, "" for others.
func (p *Prog) netSection() string {
	switch p.typ {
	case ProgTypeCgroupSKB:
		return "cgroup_skb/" + [...]string{"ingress", "egress"}[p.attachType&1]
	case 9:
		return "cgroup/" + map[uint32]string{0: "sock_create", 2: "sock_create", 34: "sock_release", 12: "post_bind4", 13: "post_bind6"}[p.attachType]
	case 18:
		return "cgroup/" + map[uint32]string{8: "bind4", 9: "bind6", 10: "connect4", 11: "connect6", 14: "sendmsg4", 15: "sendmsg6", 19: "recvmsg4", 20: "recvmsg6",
			29: "getpeername4", 30: "getpeername6", 31: "getsockname4", 32: "getsockname6"}[p.attachType]
	case 25:
		return "cgroup/" + map[uint32]string{21: "getsockopt", 22: "setsockopt"}[p.attachType]
	}
	return map[uint32]string{ProgTypeSocketFilter: "socket", 3: "tc", 4: "action", 6: "xdp", 10: "lwt_in", 11: "lwt_out", 12: "lwt_xmit", 13: "sockops",
		14: "sk_skb", 15: "cgroup/dev", 16: "sk_msg", 19: "lwt_seg6local", 21: "sk_reuseport", 22: "flow_dissector", 23: "cgroup/sysctl", 30: "sk_lookup",
		32: "netfilter"}[p.typ]
}
