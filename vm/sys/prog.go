package sys

import (
	"github.com/schedsim/schedsim/vm"
	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/verifier"
)

// Prog is a program object.
type Prog struct {
	// Context is the provider's: what a StructOpsType or Options.Verify finds out about the program.
	Context any

	k    *Kernel
	id   uint32
	refs int

	typ, attachType, attachBTF uint32
	name                       string // of at most 15 bytes
	license                    string
	gpl, sleepable             bool
	idle                       bool   // see Options.Idle
	raw                        []byte // see bytecode
	tag                        [8]byte
	maps                       []*Map
	btf                        *BTF
	modules                    []*module // whose functions it calls
	funcInfo, lineInfo         []byte    // records of 8 and 16 bytes
	cold                       *cold     // what these three were, once the program was compiled: from at on
	at                         [5]int
	odd                        []oddInsn // see decode
	arrays                     []*maps.InsnArray
	tables                     []jumpTable
	loadedNS                   uint64
	verified                   uint32
	result                     verifier.Result

	stType   *StructOpsType // of a struct_ops program
	stMember int

	link *link.Program
	set  *set // nil until it was compiled
	run  *vm.Program
}

// ID is the program's id.
func (p *Prog) ID() uint32 { return p.id }

// Name is the C name of the main function where BTF tells it, else the name that PROG_LOAD gave.
func (p *Prog) Name() string { return p.link.Name }

// Type is the program type.
func (p *Prog) Type() uint32 { return p.typ }

// Sleepable tells that the program was loaded with BPF_F_SLEEPABLE.
func (p *Prog) Sleepable() bool { return p.sleepable }

// GPL tells that the program's license is compatible with the GPL.
func (p *Prog) GPL() bool { return p.gpl }

// Linked is the program as it was decoded: instructions, what it refers to and calls. Once it was compiled, only what it is and
// where it attaches stays, and the instructions if they are what runs, with addresses.
func (p *Prog) Linked() *link.Program { return p.link }

// Maps are the maps that the program holds.
func (p *Prog) Maps() []*Map { return p.maps }

// Member is the struct_ops type and the index of the member for which the program was loaded; nil for other programs.
func (p *Prog) Member() (*StructOpsType, int) { return p.stType, p.stMember }

func (p *Prog) hold() { p.refs++ }

func (p *Prog) put() {
	switch p.refs--; {
	case p.refs > 0:
		return
	case p.refs < 0:
		panic("BUG: program " + p.name + " is dropped too often")
	}
	p.k.unload(p)
	p.k.progs.remove(p.id)
	p.drop()
}

// drop gives up what the program holds.
func (p *Prog) drop() {
	for _, m := range p.maps {
		m.put()
	}
	if p.btf != nil {
		p.btf.put()
	}
	for _, m := range p.modules {
		m.users--
	}
}

// Attributes of PROG_LOAD.
const (
	atProgType     = 0
	atInsnCnt      = 4
	atInsns        = 8
	atLicense      = 16
	atLogLevel     = 24
	atLogSize      = 28
	atLogBuf       = 32
	atProgFlags    = 44
	atProgName     = 48
	atProgIfindex  = 64
	atAttachType   = 68
	atProgBTF      = 72
	atFuncInfoRec  = 76
	atFuncInfo     = 80
	atFuncInfoCnt  = 88
	atLineInfoRec  = 92
	atLineInfo     = 96
	atLineInfoCnt  = 104
	atAttachBTF    = 108
	atAttachProg   = 112
	atCoreReloCnt  = 116
	atFDArray      = 120
	atLogTrueSize  = 140
	atProgToken    = 144
	atFDArrayCnt   = 148
	atSignature    = 152
	atSignatureLen = 160
)

const (
	maxInsns     = 1000000 // BPF_COMPLEXITY_LIMIT_INSNS
	maxUnpriv    = 4096    // BPF_MAXINSNS
	maxUsedMaps  = 64      // MAX_USED_MAPS
	maxBTFType   = 0xfffff // BTF_MAX_TYPE
	maxRecord    = 252     // MAX_FUNCINFO_REC_SIZE
	licenseLimit = 127
)

// Analyzed hands over what the linker knows of the program that the next call loads, which must be the one that p was
// encoded from: what is live, and which loads go through pointers that may be stale. Only code that runs in this process
// has that; without it, the kernel analyses the instructions itself and cannot know where pointers come from. What does not
// fit the instructions is ignored.
func (p *Process) Analyzed(l *link.Program) { p.analysis = l }

// progLoad follows bpf_prog_load.
func (c *call) progLoad() (int64, error) {
	log, err := c.log(atLogBuf, atLogSize, atLogLevel, atLogTrueSize)
	if err != nil {
		return 0, err
	}
	p, err := c.newProg()
	if err != nil {
		return 0, err
	}
	k, err := c.check(p)
	if err != nil && len(k.log) == 0 {
		log.line(err.Error())
	}
	log.report(k)
	if e := log.finish(); e != nil {
		err = e
	}
	if err == nil {
		err = p.checkTailCall()
	}
	if err != nil {
		p.unuseArrays()
		p.drop()
		return 0, err
	}
	k.readyArrays()
	p.calcTag()
	p.setIDs()
	if p.idle {
		settle([]*Prog{p}, false)
	} else {
		c.k.load(p)
	}
	p.refs, p.id = 1, c.k.progs.add(p)
	return c.p.install(p, 0)
}

// newProg does what comes before the verifier.
func (c *call) newProg() (*Prog, error) {
	if err := c.checkAttr(ProgLoad); err != nil {
		return nil, err
	}
	typ, flags, n := c.u32(atProgType), c.u32(atProgFlags), c.u32(atInsnCnt)
	limit := uint32(maxInsns)
	if !c.p.Caps.BPF {
		limit = maxUnpriv
	}
	switch {
	case flags&^progFlags != 0:
		return nil, refuse(abi.EINVAL, "flags %#x", flags)
	case flags&flagTokenFD != 0:
		return nil, c.noToken(atProgToken)
	case !c.p.Caps.BPF:
		return nil, abi.EPERM
	case n == 0 || n > limit:
		return nil, refuse(abi.E2BIG, "%d instructions", n)
	case netAdmin(typ) && !c.p.Caps.NetAdmin, perfmon(typ) && !c.p.Caps.Perfmon:
		return nil, abi.EPERM
	}
	if err := c.checkAttach(typ); err != nil {
		return nil, err
	}
	p := &Prog{k: c.k, typ: typ, attachType: c.u32(atAttachType), attachBTF: c.u32(atAttachBTF), sleepable: flags&ProgFlagSleepable != 0}
	var err error
	if p.raw, err = c.read(c.u64(atInsns), uint64(n)*8); err != nil {
		return nil, err
	}
	license, _, err := c.cString(c.u64(atLicense), licenseLimit)
	if err != nil {
		return nil, err
	}
	p.license, p.gpl = license, gplCompatible(license)
	switch {
	case c.u64(atSignature) != 0:
		return nil, refuse(abi.EINVAL, "signatures are not supported")
	case c.u32(atProgIfindex) != 0:
		return nil, refuse(abi.EINVAL, "there are no network devices")
	case typ == 0 || typ >= nrProgTypes:
		return nil, refuse(abi.EINVAL, "program type %d", typ)
	}
	if p.name, err = c.name(atProgName); err != nil {
		return nil, err
	}
	p.loadedNS = c.k.opt.Host.NowNS()
	return p, nil
}

// checkAttach follows bpf_prog_load_check_attach.
func (c *call) checkAttach(typ uint32) error {
	id, attach := c.u32(atAttachBTF), c.u32(atAttachType)
	if fd := c.fd(atAttachProg); fd != 0 {
		if _, _, err := fdObject[*Prog](c.p, fd); err == nil {
			if typ != ProgTypeTracing && typ != ProgTypeExt {
				return refuse(abi.EINVAL, "type %d does not attach to programs", typ)
			}
			return refuse(abi.ENOTSUPP, "programs that attach to programs are not supported")
		}
		if _, _, err := fdObject[*BTF](c.p, fd); err != nil {
			return refuse(abi.EINVAL, "descriptor %d is neither program nor BTF", fd)
		}
		return refuse(abi.ENOTSUPP, "descriptor %d is not the kernel's BTF", fd)
	}
	if id != 0 {
		switch {
		case id > maxBTFType:
			return refuse(abi.EINVAL, "attach_btf_id %d", id)
		case typ != ProgTypeTracing && typ != ProgTypeLSM && typ != ProgTypeStructOps && typ != ProgTypeExt:
			return refuse(abi.EINVAL, "type %d has no attach_btf_id", typ)
		}
	}
	ok := true
	switch typ {
	case 9: // CGROUP_SOCK; without a type, INET_SOCK_CREATE is meant
		ok = attach == 0 || attach == 2 || attach == 12 || attach == 13 || attach == 34
	case 18: // CGROUP_SOCK_ADDR
		ok = attach == 8 || attach == 9 || attach == 10 || attach == 11 || attach == 14 || attach == 15 || attach == 19 || attach == 20 ||
			attach >= 29 && attach <= 32 || attach >= 49 && attach <= 53
	case ProgTypeCgroupSKB:
		ok = attach <= 1
	case 25: // CGROUP_SOCKOPT
		ok = attach == 21 || attach == 22
	case 30: // SK_LOOKUP
		ok = attach == 36
	case 21: // SK_REUSEPORT
		ok = attach == 0 || attach == 39 || attach == 40
	case 32: // NETFILTER
		ok = attach == 45
	case ProgTypeSyscall, ProgTypeExt:
		ok = attach == 0
	}
	if !ok {
		return refuse(abi.EINVAL, "attach type %d is not for program type %d", attach, typ)
	}
	return nil
}

// netAdmin follows is_net_admin_prog_type.
func netAdmin(typ uint32) bool {
	switch typ {
	case 3, 4, 6, 9, 10, 11, 12, 13, 14, 15, 16, 18, 19, 22, 23, 25, 28, 32:
		return typ != 23 && typ != 25 // CGROUP_SYSCTL, CGROUP_SOCKOPT
	}
	return false
}

// perfmon follows is_perfmon_prog_type.
func perfmon(typ uint32) bool {
	switch typ {
	case ProgTypeKprobe, ProgTypeTracepoint, ProgTypePerfEvent, ProgTypeRawTracepoint, 24, ProgTypeTracing, ProgTypeLSM, ProgTypeStructOps, ProgTypeExt:
		return true
	}
	return false
}

// Keep holds the program as a perf event does to which it is attached (perf_event_set_bpf_prog), until the kernel is closed.
func (p *Prog) Keep() { p.hold() }

// CtxSize is how many bytes of its context the program may access (max_ctx_offset); 0 if it was not verified.
func (p *Prog) CtxSize() uint32 { return uint32(p.result.CtxSize) }

// Kind is the sort of the program in the linker's words.
func (p *Prog) Kind() elf.ProgKind { return p.kind() }

func (p *Prog) kind() elf.ProgKind {
	switch p.typ {
	case ProgTypeStructOps:
		return elf.KindStructOps
	case ProgTypeSyscall:
		return elf.KindSyscall
	case ProgTypeRawTracepoint, 24:
		return elf.KindRawTP
	case ProgTypeTracepoint:
		return elf.KindTracepoint
	case ProgTypeKprobe:
		return elf.KindKprobe
	case ProgTypePerfEvent:
		return elf.KindPerfEvent
	case ProgTypeLSM:
		return elf.KindLSM
	case ProgTypeTracing:
		switch p.attachType {
		case AttachTraceRawTP:
			return elf.KindTPBTF
		case AttachTraceFexit:
			return elf.KindFexit
		case AttachModifyReturn:
			return elf.KindFmodRet
		case AttachTraceIter:
			return elf.KindIter
		case AttachFsession:
			return elf.KindFsession
		}
		return elf.KindFentry
	}
	return elf.KindOther
}

// progBindMap follows bpf_prog_bind_map.
func (c *call) progBindMap() (int64, error) {
	if err := c.checkAttr(ProgBindMap); err != nil {
		return 0, err
	}
	if c.u32(8) != 0 {
		return 0, refuse(abi.EINVAL, "flags %#x", c.u32(8))
	}
	p, _, err := fdObject[*Prog](c.p, c.fd(0))
	if err != nil {
		return 0, err
	}
	m, _, err := fdObject[*Map](c.p, c.fd(4))
	if err != nil {
		return 0, err
	}
	for _, have := range p.maps {
		if have == m {
			return 0, nil
		}
	}
	m.hold()
	p.maps = append(p.maps, m)
	return 0, nil
}

// insnAt splits an instruction of a two-slot load into its parts.
func insnAt(raw []byte, slot int) (op, src byte, imm []byte) {
	b := raw[slot*8:]
	return b[0], b[1] >> 4, b[4:8]
}
