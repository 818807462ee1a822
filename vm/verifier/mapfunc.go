package verifier

import (
	"slices"

	"github.com/schedsim/schedsim/vm/elf"
)

// Numbers of helpers that go with certain types of maps.
const (
	fnLookup        = 1
	fnTailCall      = 12
	fnPerfRead      = 22
	fnPerfOutput    = 25
	fnStackID       = 27
	fnUnderCgroup   = 33
	fnTaskCgroup    = 37
	fnRedirectMap   = 51
	fnSkRedirect    = 52
	fnSockUpdate    = 53
	fnPerfReadValue = 55
	fnMsgRedirect   = 60
	fnHashUpdate    = 70
	fnMsgHash       = 71
	fnSkHash        = 72
	fnLocalStorage  = 81
	fnReuseport     = 82
	fnPush          = 87
	fnPop           = 88
	fnPeek          = 89
	fnSkbOutput     = 111
	fnXDPOutput     = 121
	fnTaskStack     = 141
	fnUserDrain     = 209
	fnKptrXchg      = 194
)

// mapRule ties helpers to types of maps. It follows check_map_func_compatibility, which looks from both sides.
type mapRule struct {
	types []elf.MapType
	funcs []int32
	// open: the maps go with other helpers, too; shared: the helpers go with other maps.
	open, shared bool
}

func mapRules() []mapRule {
	type types = []elf.MapType
	type funcs = []int32
	return []mapRule{
		{types: types{mapProgArray}, funcs: funcs{fnTailCall}},
		{types: types{mapPerfArray}, funcs: funcs{fnPerfRead, fnPerfOutput, fnPerfReadValue, fnSkbOutput, fnXDPOutput}},
		{types: types{mapRingbuf}, funcs: funcs{130, 131, 134, 198, 199, 200}},
		{types: types{mapUserRingbuf}, funcs: funcs{fnUserDrain}},
		{types: types{mapStackTrace}, funcs: funcs{fnStackID}},
		{types: types{mapCgroupArray}, funcs: funcs{fnUnderCgroup, fnTaskCgroup}},
		{types: types{mapCgroupStorage, mapPercpuCgroup}, funcs: funcs{fnLocalStorage}},
		{types: types{mapDev, mapDevHash, mapXSK}, funcs: funcs{fnRedirectMap}},
		{types: types{mapDev, mapDevHash, mapXSK}, funcs: funcs{fnLookup}, shared: true},
		{types: types{mapCPU}, funcs: funcs{fnRedirectMap}},
		{types: types{mapArrayOfMaps, mapHashOfMaps}, funcs: funcs{fnLookup}, shared: true},
		{types: types{mapSock}, funcs: funcs{fnSkRedirect, fnSockUpdate, fnMsgRedirect}},
		{types: types{mapSockHash}, funcs: funcs{fnSkHash, fnHashUpdate, fnMsgHash}},
		{types: types{mapSock, mapSockHash}, funcs: funcs{fnLookup}, shared: true},
		{types: types{mapReuseport, mapSock, mapSockHash}, funcs: funcs{fnReuseport}},
		{types: types{mapQueue, mapStackMap}, funcs: funcs{fnPop}},
		{types: types{mapQueue, mapStackMap, mapBloom}, funcs: funcs{fnPush, fnPeek}},
		{types: types{mapSkStorage}, funcs: funcs{107, 108}},
		{types: types{mapInodeStorage}, funcs: funcs{145, 146}},
		{types: types{mapTaskStorage}, funcs: funcs{156, 157}},
		{types: types{mapCgrpStorage}, funcs: funcs{210, 211}},
		{types: types{mapSkStorage, mapInodeStorage, mapTaskStorage, mapCgrpStorage}, funcs: funcs{fnKptrXchg}, shared: true},
		{types: types{mapPercpuArray, mapPercpuHash, mapLRUPercpuHash}, funcs: funcs{195}, open: true},
	}
}

// openMaps go with every helper that is not tied to others.
func openMap(t elf.MapType) bool {
	switch t {
	case mapHash, mapArray, mapPercpuHash, mapPercpuArray, mapLRUHash, mapLRUPercpuHash, mapLPM, mapStructOps, mapArena, mapRHash:
		return true
	}
	return false
}

// mapFunc tells which helpers go with which maps.
func (v *verifier) mapFunc(m *callMeta) error {
	if m.m == nil {
		return nil
	}
	id, t := m.h.id, m.m.typ
	tied, ok := false, openMap(t)
	if v.mapRules == nil {
		v.mapRules = mapRules()
	}
	for i := range v.mapRules {
		r := &v.mapRules[i]
		ofMap, ofFunc := slices.Contains(r.types, t), slices.Contains(r.funcs, id)
		switch {
		case ofMap && ofFunc:
			return nil
		case ofFunc && !r.shared:
			tied = true
		}
	}
	if id == fnTailCall && t != mapProgArray {
		return refuse(CodeMapFunc, "expected prog array map for tail call")
	}
	if t == mapSock || t == mapSockHash {
		if id == 2 && v.at.SockMapUpdate || id == 3 && v.at.SockMapDelete {
			return nil
		}
		if id == 2 || id == 3 {
			v.notef("cannot update sockmap in this context")
		}
	}
	if !ok || tied {
		return refuse(CodeMapFunc, "cannot pass map_type %d into func bpf_%s#%d", t, m.h.name, id)
	}
	return nil
}

// setRetval is the rule for bpf_set_retval.
func (v *verifier) setRetval() error {
	r := &v.regs()[1]
	t := &v.at.Retval
	switch {
	case r.typ != scalar:
		return refuse(CodeArgType, "R1 is not a scalar")
	case t.Any:
		return nil
	case t.Void:
		return refuse(CodeReturn, "BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!")
	}
	if err := v.markPrecise(1); err != nil {
		return err
	}
	rr := retRange{lo: t.Lo, hi: t.Hi, narrow: true}
	if !rr.has(r) {
		return badReturn(r, rr, "At bpf_set_retval", "R1")
	}
	return nil
}
