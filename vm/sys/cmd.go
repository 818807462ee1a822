package sys

import "github.com/schedsim/schedsim/vm/abi"

// Cmd is a command of bpf(2) (enum bpf_cmd).
type Cmd uint32

// The commands. Those without a name here are refused with EINVAL or, where the kernel would need objects that do not
// exist here, as it refuses them without.
const (
	MapCreate               Cmd = 0
	MapLookupElem           Cmd = 1
	MapUpdateElem           Cmd = 2
	MapDeleteElem           Cmd = 3
	MapGetNextKey           Cmd = 4
	ProgLoad                Cmd = 5
	ObjPin                  Cmd = 6
	ObjGet                  Cmd = 7
	ProgTestRun             Cmd = 10
	ProgGetNextID           Cmd = 11
	MapGetNextID            Cmd = 12
	ProgGetFDByID           Cmd = 13
	MapGetFDByID            Cmd = 14
	ObjGetInfoByFD          Cmd = 15
	RawTracepointOpen       Cmd = 17
	BTFLoad                 Cmd = 18
	BTFGetFDByID            Cmd = 19
	MapLookupAndDeleteElem  Cmd = 21
	MapFreeze               Cmd = 22
	BTFGetNextID            Cmd = 23
	MapLookupBatch          Cmd = 24
	MapLookupAndDeleteBatch Cmd = 25
	MapUpdateBatch          Cmd = 26
	MapDeleteBatch          Cmd = 27
	LinkCreate              Cmd = 28
	LinkUpdate              Cmd = 29
	LinkGetFDByID           Cmd = 30
	LinkGetNextID           Cmd = 31
	IterCreate              Cmd = 33
	LinkDetach              Cmd = 34
	ProgBindMap             Cmd = 35
)

// CommonAttrs in a command tells that common attributes come with it (BPF_COMMON_ATTRS).
const CommonAttrs Cmd = 1 << 16

// Program types (enum bpf_prog_type) that mean something here; the others can be loaded, but nothing runs them.
const (
	ProgTypeSocketFilter  uint32 = 1
	ProgTypeKprobe        uint32 = 2
	ProgTypeTracepoint    uint32 = 5
	ProgTypePerfEvent     uint32 = 7
	ProgTypeCgroupSKB     uint32 = 8
	ProgTypeRawTracepoint uint32 = 17
	ProgTypeTracing       uint32 = 26
	ProgTypeStructOps     uint32 = 27
	ProgTypeExt           uint32 = 28
	ProgTypeLSM           uint32 = 29
	ProgTypeSyscall       uint32 = 31
	nrProgTypes           uint32 = 33
)

// Attach types (enum bpf_attach_type) that mean something here.
const (
	AttachTraceRawTP   uint32 = 23
	AttachTraceFentry  uint32 = 24
	AttachTraceFexit   uint32 = 25
	AttachModifyReturn uint32 = 26
	AttachLSMMac       uint32 = 27
	AttachTraceIter    uint32 = 28
	AttachStructOps    uint32 = 44
	AttachFsession     uint32 = 58
)

// Flags of PROG_LOAD.
const (
	ProgFlagSleepable uint32 = 1 << 4
	progFlags         uint32 = 0xff | flagTokenFD
)

// Flags of maps and objects that package maps does not know.
const (
	flagRdonly  uint32 = 1 << 3
	flagWronly  uint32 = 1 << 4
	flagNuma    uint32 = 1 << 2
	FlagLink    uint32 = 1 << 13 // BPF_F_LINK
	flagPathFD  uint32 = 1 << 14
	flagVType   uint32 = 1 << 15 // BPF_F_VTYPE_BTF_OBJ_FD
	flagTokenFD uint32 = 1 << 16
	flagReplace uint32 = 1 << 2 // of LINK_UPDATE

	objFlagMask = flagRdonly | flagWronly
)

// TypeStructOps is BPF_MAP_TYPE_STRUCT_OPS, a map that is this package's own.
const TypeStructOps = 26

// Sources of a two-slot load (BPF_PSEUDO_*).
const (
	pseudoMapFD       = 1
	pseudoMapValue    = 2
	pseudoBTFID       = 3
	pseudoFunc        = 4
	pseudoMapIdx      = 5
	pseudoMapIdxValue = 6
	pseudoCall        = 1
	pseudoKfunc       = 2
)

// NameLen is BPF_OBJ_NAME_LEN.
const NameLen = 16

// call is one system call on its way.
type call struct {
	p *Process
	k *Kernel
	attr
	common attr
	// noCommon: the call came without common attributes.
	noCommon bool
}

// names are the names of the commands that exist, without BPF_, by number.
var names = [...]string{
	MapCreate:               "MAP_CREATE",
	MapLookupElem:           "MAP_LOOKUP_ELEM",
	MapUpdateElem:           "MAP_UPDATE_ELEM",
	MapDeleteElem:           "MAP_DELETE_ELEM",
	MapGetNextKey:           "MAP_GET_NEXT_KEY",
	ProgLoad:                "PROG_LOAD",
	ObjPin:                  "OBJ_PIN",
	ObjGet:                  "OBJ_GET",
	ProgTestRun:             "PROG_TEST_RUN",
	ProgGetNextID:           "PROG_GET_NEXT_ID",
	MapGetNextID:            "MAP_GET_NEXT_ID",
	ProgGetFDByID:           "PROG_GET_FD_BY_ID",
	MapGetFDByID:            "MAP_GET_FD_BY_ID",
	ObjGetInfoByFD:          "OBJ_GET_INFO_BY_FD",
	RawTracepointOpen:       "RAW_TRACEPOINT_OPEN",
	BTFLoad:                 "BTF_LOAD",
	BTFGetFDByID:            "BTF_GET_FD_BY_ID",
	MapLookupAndDeleteElem:  "MAP_LOOKUP_AND_DELETE_ELEM",
	MapFreeze:               "MAP_FREEZE",
	BTFGetNextID:            "BTF_GET_NEXT_ID",
	MapLookupBatch:          "MAP_LOOKUP_BATCH",
	MapLookupAndDeleteBatch: "MAP_LOOKUP_AND_DELETE_BATCH",
	MapUpdateBatch:          "MAP_UPDATE_BATCH",
	MapDeleteBatch:          "MAP_DELETE_BATCH",
	LinkCreate:              "LINK_CREATE",
	LinkUpdate:              "LINK_UPDATE",
	LinkGetFDByID:           "LINK_GET_FD_BY_ID",
	LinkGetNextID:           "LINK_GET_NEXT_ID",
	IterCreate:              "ITER_CREATE",
	LinkDetach:              "LINK_DETACH",
	ProgBindMap:             "PROG_BIND_MAP",
}

// lastField is the end of the last field that a command has in union bpf_attr; the rest must be zero.
var lastField = [...]int{
	MapCreate:               92,
	MapLookupElem:           32,
	MapUpdateElem:           32,
	MapDeleteElem:           16,
	MapGetNextKey:           24,
	ProgLoad:                168,
	ObjPin:                  20,
	ObjGet:                  20,
	ProgTestRun:             76,
	ProgGetNextID:           8,
	MapGetNextID:            8,
	ProgGetFDByID:           4,
	MapGetFDByID:            12,
	ObjGetInfoByFD:          16,
	BTFLoad:                 40,
	BTFGetFDByID:            16,
	MapLookupAndDeleteElem:  32,
	MapFreeze:               4,
	BTFGetNextID:            8,
	MapLookupBatch:          56,
	MapLookupAndDeleteBatch: 56,
	MapUpdateBatch:          56,
	MapDeleteBatch:          56,
	LinkCreate:              64,
	RawTracepointOpen:       24,
	LinkUpdate:              16,
	LinkGetFDByID:           4,
	LinkGetNextID:           8,
	IterCreate:              8,
	LinkDetach:              4,
	ProgBindMap:             12,
}

// commands do the work.
var commands = [...]func(c *call) (int64, error){
	MapCreate:               (*call).mapCreate,
	MapLookupElem:           (*call).mapLookup,
	MapUpdateElem:           (*call).mapUpdate,
	MapDeleteElem:           (*call).mapDelete,
	MapGetNextKey:           (*call).mapNextKey,
	ProgLoad:                (*call).progLoad,
	ObjPin:                  (*call).objPin,
	ObjGet:                  (*call).objGet,
	ProgTestRun:             (*call).progTestRun,
	ProgGetNextID:           func(c *call) (int64, error) { return c.nextID(c.k.progs.next) },
	MapGetNextID:            func(c *call) (int64, error) { return c.nextID(c.k.maps.next) },
	ProgGetFDByID:           (*call).progByID,
	MapGetFDByID:            (*call).mapByID,
	ObjGetInfoByFD:          (*call).objInfo,
	BTFLoad:                 (*call).btfLoad,
	BTFGetFDByID:            (*call).btfByID,
	MapLookupAndDeleteElem:  (*call).mapLookupAndDelete,
	MapFreeze:               (*call).mapFreeze,
	BTFGetNextID:            func(c *call) (int64, error) { return c.nextID(c.k.btfs.next) },
	MapLookupBatch:          func(c *call) (int64, error) { return c.batch(MapLookupBatch) },
	MapLookupAndDeleteBatch: func(c *call) (int64, error) { return c.batch(MapLookupAndDeleteBatch) },
	MapUpdateBatch:          func(c *call) (int64, error) { return c.batch(MapUpdateBatch) },
	MapDeleteBatch:          func(c *call) (int64, error) { return c.batch(MapDeleteBatch) },
	LinkCreate:              (*call).linkCreate,
	RawTracepointOpen:       (*call).rawTracepointOpen,
	LinkUpdate:              (*call).linkUpdate,
	LinkGetFDByID:           (*call).linkByID,
	LinkGetNextID:           func(c *call) (int64, error) { return c.nextID(c.k.links.next) },
	IterCreate:              (*call).iterCreate,
	LinkDetach:              (*call).linkDetach,
	ProgBindMap:             (*call).progBindMap,
}

// String is the command's name without BPF_.
func (c Cmd) String() string {
	if c &^= CommonAttrs; int(c) < len(names) && names[c] != "" {
		return names[c]
	}
	return "unknown command"
}

// BPF does one system call: attr are the bytes of union bpf_attr, into which results are written back. It returns a
// descriptor or another value, or a negated error number, and follows __sys_bpf.
func (p *Process) BPF(cmd Cmd, attr []byte) int64 { return p.BPFCommon(cmd, attr, nil) }

// BPFCommon is BPF with common attributes (struct bpf_common_attr), which are looked at if cmd has CommonAttrs.
func (p *Process) BPFCommon(cmd Cmd, attr, common []byte) int64 {
	v, err := p.bpf(cmd, attr, common)
	p.k.sweep()
	p.analysis = nil
	if p.reason = err; err != nil {
		return -int64(Errno(err))
	}
	return v
}

func (p *Process) bpf(cmd Cmd, raw, common []byte) (int64, error) {
	if p.k.closed {
		return 0, refuse(abi.ENXIO, "the kernel is gone")
	}
	if p.exited {
		return 0, refuse(abi.ENXIO, "the process has ended")
	}
	c := &call{p: p, k: p.k, noCommon: cmd&CommonAttrs == 0}
	if err := c.attr.take(raw, attrSize); err != nil {
		return 0, err
	}
	if cmd&CommonAttrs != 0 {
		cmd &^= CommonAttrs
		if err := c.common.take(common, commonSize); err != nil {
			return 0, err
		}
	}
	if int(cmd) >= len(commands) || commands[cmd] == nil {
		return 0, refuse(abi.EINVAL, "command %d: not known", uint32(cmd))
	}
	p.k.caller = p
	defer func() { p.k.caller = nil }()
	return commands[cmd](c)
}

// checkAttr follows CHECK_ATTR: what the command does not have must be zero.
func (c *call) checkAttr(cmd Cmd) error {
	for i, b := range c.bytes[lastField[cmd]:] {
		if b != 0 {
			return refuse(abi.EINVAL, "%s: byte %d of the attributes is not zero", cmd, lastField[cmd]+i)
		}
	}
	return nil
}
