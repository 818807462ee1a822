package sys

import "encoding/binary"

// The structures below are what user space fills to make calls: fields of union bpf_attr by command. Bytes lays them out;
// results are read back from those bytes.

// put32 and put64 write fields of a structure.
func put32(b []byte, off int, v uint32) { binary.LittleEndian.PutUint32(b[off:], v) }
func put64(b []byte, off int, v uint64) { binary.LittleEndian.PutUint64(b[off:], v) }

// Attr are the bytes of union bpf_attr for one call.
type Attr []byte

// U32 is the field of 4 bytes at off: where a call leaves its result.
func (a Attr) U32(off int) uint32 { return binary.LittleEndian.Uint32(a[off:]) }

// Places of results in an Attr.
const (
	ResultNextID      = 4
	ResultInfoLen     = 4
	ResultRetval      = 4
	ResultBatchCount  = 32
	ResultBTFTrueSize = 28
	ResultLogTrueSize = 140
)

// MapAttr are the attributes of MAP_CREATE.
type MapAttr struct {
	Type, KeySize, ValueSize, MaxEntries, Flags uint32
	InnerFD                                     int32
	NUMANode                                    uint32
	Name                                        string
	BTF                                         int32
	KeyType, ValueType, VmlinuxType             uint32
	Extra                                       uint64
}

// Bytes lays out the attributes.
func (m MapAttr) Bytes() Attr {
	b := make([]byte, lastField[MapCreate])
	for i, v := range []uint32{m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags, uint32(m.InnerFD), m.NUMANode} {
		put32(b, 4*i, v)
	}
	copy(b[atMapName:atMapName+NameLen], m.Name)
	put32(b, atMapBTF, uint32(m.BTF))
	put32(b, atKeyType, m.KeyType)
	put32(b, atValueType, m.ValueType)
	put32(b, atVmlinuxType, m.VmlinuxType)
	put64(b, atMapExtra, m.Extra)
	return b
}

// ElemAttr are the attributes of the commands on elements; Value is next_key of MAP_GET_NEXT_KEY.
type ElemAttr struct {
	Map               int32
	Key, Value, Flags uint64
}

// Bytes lays out the attributes.
func (e ElemAttr) Bytes() Attr {
	b := make([]byte, 32)
	put32(b, 0, uint32(e.Map))
	put64(b, 8, e.Key)
	put64(b, 16, e.Value)
	put64(b, 24, e.Flags)
	return b
}

// BatchAttr are the attributes of the batch commands.
type BatchAttr struct {
	In, Out, Keys, Values uint64
	Count                 uint32
	Map                   int32
	ElemFlags, Flags      uint64
}

// Bytes lays out the attributes.
func (a BatchAttr) Bytes() Attr {
	b := make([]byte, 56)
	for i, v := range []uint64{a.In, a.Out, a.Keys, a.Values} {
		put64(b, 8*i, v)
	}
	put32(b, atBatchCount, a.Count)
	put32(b, atBatchMap, uint32(a.Map))
	put64(b, atBatchElem, a.ElemFlags)
	put64(b, atBatchFlags, a.Flags)
	return b
}

// ProgAttr are the attributes of PROG_LOAD.
type ProgAttr struct {
	Type, InsnCnt                       uint32
	Insns, License                      uint64
	LogLevel, LogSize                   uint32
	LogBuf                              uint64
	Flags                               uint32
	Name                                string
	AttachType                          uint32
	BTF                                 int32
	FuncInfoRec, FuncInfoCnt            uint32
	LineInfoRec, LineInfoCnt, AttachBTF uint32
	FuncInfo, LineInfo, FDArray         uint64
	AttachProg                          int32
	FDArrayCnt                          uint32
}

// Bytes lays out the attributes.
func (p ProgAttr) Bytes() Attr {
	b := make([]byte, lastField[ProgLoad])
	put32(b, atProgType, p.Type)
	put32(b, atInsnCnt, p.InsnCnt)
	put64(b, atInsns, p.Insns)
	put64(b, atLicense, p.License)
	put32(b, atLogLevel, p.LogLevel)
	put32(b, atLogSize, p.LogSize)
	put64(b, atLogBuf, p.LogBuf)
	put32(b, atProgFlags, p.Flags)
	copy(b[atProgName:atProgName+NameLen], p.Name)
	put32(b, atAttachType, p.AttachType)
	put32(b, atProgBTF, uint32(p.BTF))
	put32(b, atFuncInfoRec, p.FuncInfoRec)
	put64(b, atFuncInfo, p.FuncInfo)
	put32(b, atFuncInfoCnt, p.FuncInfoCnt)
	put32(b, atLineInfoRec, p.LineInfoRec)
	put64(b, atLineInfo, p.LineInfo)
	put32(b, atLineInfoCnt, p.LineInfoCnt)
	put32(b, atAttachBTF, p.AttachBTF)
	put32(b, atAttachProg, uint32(p.AttachProg))
	put64(b, atFDArray, p.FDArray)
	put32(b, atFDArrayCnt, p.FDArrayCnt)
	return b
}

// BTFAttr are the attributes of BTF_LOAD.
type BTFAttr struct {
	BTF               uint64
	Size              uint32
	LogLevel, LogSize uint32
	LogBuf            uint64
}

// Bytes lays out the attributes.
func (a BTFAttr) Bytes() Attr {
	b := make([]byte, lastField[BTFLoad])
	put64(b, 0, a.BTF)
	put64(b, 8, a.LogBuf)
	put32(b, 16, a.Size)
	put32(b, 20, a.LogSize)
	put32(b, 24, a.LogLevel)
	return b
}

// RunAttr are the attributes of PROG_TEST_RUN for a syscall program.
type RunAttr struct {
	Prog    int32
	CtxSize uint32
	Ctx     uint64
}

// Bytes lays out the attributes.
func (r RunAttr) Bytes() Attr {
	b := make([]byte, lastField[ProgTestRun])
	put32(b, 0, uint32(r.Prog))
	put32(b, 40, r.CtxSize)
	put64(b, 48, r.Ctx)
	return b
}

// PathAttr are the attributes of OBJ_PIN and OBJ_GET.
type PathAttr struct {
	Path  uint64
	FD    int32
	Flags uint32
}

// Bytes lays out the attributes.
func (p PathAttr) Bytes() Attr {
	b := make([]byte, lastField[ObjPin])
	put64(b, 0, p.Path)
	put32(b, 8, uint32(p.FD))
	put32(b, 12, p.Flags)
	return b
}

// InfoAttr are the attributes of OBJ_GET_INFO_BY_FD.
type InfoAttr struct {
	FD   int32
	Len  uint32
	Info uint64
}

// Bytes lays out the attributes.
func (i InfoAttr) Bytes() Attr {
	b := make([]byte, lastField[ObjGetInfoByFD])
	put32(b, 0, uint32(i.FD))
	put32(b, 4, i.Len)
	put64(b, 8, i.Info)
	return b
}

// Words are the attributes of commands that have nothing but fields of 4 bytes: ids, links, MAP_FREEZE, PROG_BIND_MAP.
func Words(fields ...uint32) Attr {
	var b []byte
	for _, f := range fields {
		b = binary.LittleEndian.AppendUint32(b, f)
	}
	return b
}
