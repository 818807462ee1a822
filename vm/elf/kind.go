package elf

import "strings"

// ProgKind is the sort of a program, as its section name says.
type ProgKind uint8

// The kinds of programs. KindOther is any sort that libbpf knows and a scheduler has no use for (networking, cgroups,
// uprobes ...); KindUnknown a section name that libbpf does not know either.
const (
	KindUnknown ProgKind = iota
	KindStructOps
	KindSyscall
	KindFentry
	KindFexit
	KindFmodRet
	KindFsession
	KindTPBTF
	KindRawTP
	KindTracepoint
	KindKprobe
	KindKretprobe
	KindIter
	KindLSM
	KindPerfEvent
	KindOther
)

func (k ProgKind) String() string {
	return [...]string{"unknown", "struct_ops", "syscall", "fentry", "fexit", "fmod_ret", "fsession", "tp_btf", "raw_tp",
		"tracepoint", "kprobe", "kretprobe", "iter", "lsm", "perf_event", "other"}[k]
}

// kindOf follows the section_defs table of libbpf.
func kindOf(section string) (kind ProgKind, attach string, sleepable, autoLoad bool) {
	name, optional := strings.CutPrefix(section, "?")
	base, attach, _ := strings.Cut(name, "/")
	base, sleepable = strings.CutSuffix(base, ".s")
	switch base {
	case "struct_ops":
		kind = KindStructOps
	case "syscall":
		kind, sleepable = KindSyscall, true
	case "fentry":
		kind = KindFentry
	case "fexit":
		kind = KindFexit
	case "fmod_ret":
		kind = KindFmodRet
	case "fsession":
		kind = KindFsession
	case "tp_btf":
		kind = KindTPBTF
	case "raw_tp", "raw_tracepoint", "raw_tp.w", "raw_tracepoint.w":
		kind = KindRawTP
	case "tp", "tracepoint":
		kind = KindTracepoint
	case "kprobe", "kprobe.multi", "kprobe.session", "ksyscall":
		kind = KindKprobe
	case "kretprobe", "kretprobe.multi", "kretsyscall":
		kind = KindKretprobe
	case "iter":
		kind = KindIter
	case "lsm":
		kind = KindLSM
	case "perf_event":
		kind = KindPerfEvent
	case "socket", "sk_reuseport", "uprobe", "uretprobe", "uprobe.multi", "uretprobe.multi", "uprobe.session", "usdt", "tc",
		"tcx", "classifier", "action", "netkit", "fsession.multi", "fentry.multi", "fexit.multi", "freplace", "lsm_cgroup",
		"xdp.frags", "xdp", "lwt_in", "lwt_out", "lwt_xmit", "lwt_seg6local", "sockops", "sk_skb", "sk_msg", "lirc_mode2",
		"flow_dissector", "cgroup_skb", "cgroup", "sk_lookup", "netfilter":
		kind = KindOther
	}
	return kind, attach, sleepable, !optional
}
