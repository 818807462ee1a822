package loader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/schedsim/schedsim/vm/abi"
	"github.com/schedsim/schedsim/vm/elf"
	"github.com/schedsim/schedsim/vm/keep"
	"github.com/schedsim/schedsim/vm/link"
	"github.com/schedsim/schedsim/vm/maps"
	"github.com/schedsim/schedsim/vm/sys"
)

// Options tune Load. The zero value loads what libbpf would.
type Options struct {
	// Select chooses the programs to load; nil takes all but optional ones (SEC("?...")) that no struct_ops table names.
	Select func(p *link.Program) bool
}

// Object is a loaded object: descriptors of a process, by what they stand for.
type Object struct {
	p *sys.Process
	u *sys.Buffers
	o *link.Object

	d     *debug
	btf   int32
	progs []*link.Program // to load; nil once forgotten
	// refused says why a map was not created; it matters only if live code uses the map.
	refused map[int]error
	mapFD   []int32 // by number in the object, 0 where none was created
	loaded  []prog  // in the order of the object
	globals []globals
	linkFD  map[string]int32
	opsFD   map[string]int32
}

// prog is a program that was loaded.
type prog struct {
	name, section, attach string
	kind                  elf.ProgKind
	fd                    int32
}

// prog finds a program that was loaded, nil: there is none with that name.
func (l *Object) prog(name string) *prog {
	for i := range l.loaded {
		if l.loaded[i].name == name {
			return &l.loaded[i]
		}
	}
	return nil
}

// progFD is the descriptor of a program, 0 if it was not loaded.
func (l *Object) progFD(name string) int32 {
	if p := l.prog(name); p != nil {
		return p.fd
	}
	return 0
}

// Load makes a process load an object. u is the process's memory, which Load leaves without buffers. Errors name the object
// and what of it was refused, and say why; o is not changed. What was loaded before an error stays until the process closes
// it (Object.Close, or its end).
func Load(p *sys.Process, u *sys.Buffers, o *link.Object, opt Options) (*Object, error) {
	l := &Object{p: p, u: u, o: o, refused: map[int]error{}, mapFD: make([]int32, len(o.Maps)),
		globals: globalsOf(o), linkFD: map[string]int32{}, opsFD: map[string]int32{}}
	defer u.Reset()
	if err := l.load(opt); err != nil {
		return l, fmt.Errorf("%s: %w", o.Name, err)
	}
	return l, nil
}

func (l *Object) load(opt Options) error {
	l.selectPrograms(opt)
	var err error
	if l.d, err = makeBTF(l.o, l.progs); err != nil {
		return err
	}
	// Line records put names of files into the strings of the BTF, so programs are laid out before it is loaded.
	codes := make([]progCode, len(l.progs))
	for i, p := range l.progs {
		codes[i].lines = func(e *encoder) []byte { return l.d.lineInfo(p, e) }
	}
	for i, p := range l.progs {
		// The layout does not depend on descriptors.
		e, err := encode(p, l.placeholders(p))
		if err != nil {
			return fmt.Errorf("program %s: %w", p.Name, err)
		}
		codes[i].funcInfo, codes[i].lineInfo = l.d.funcInfo(p, e), codes[i].lines(e)
	}
	if l.btf, err = l.call(sys.BTFLoad, sys.BTFAttr{BTF: l.u.Add(l.d.raw), Size: uint32(len(l.d.raw))}.Bytes()); err != nil {
		return fmt.Errorf("types: %w", err)
	}
	for i := range l.o.Maps {
		if err := l.createMap(i); err != nil {
			return err
		}
	}
	if err := l.fillMaps(); err != nil {
		return err
	}
	for i, p := range l.progs {
		if err := l.loadProgram(p, codes[i]); err != nil {
			if strings.HasPrefix(err.Error(), "program "+p.Name+", ") {
				return err // it says so itself
			}
			return fmt.Errorf("program %s: %w", p.Name, err)
		}
	}
	return l.fillProgArrays()
}

// maxInner is how many maps user space may create in the object's maps of maps.
const maxInner = 4096

// Room is the number of maps that a kernel needs which nobody but the object's loader and agent uses.
func Room(o *link.Object) int {
	room := 0
	for _, m := range o.Maps {
		if m.Inner != nil {
			room = min(room+int(min(m.MaxEntries, maxInner)), maxInner)
		}
	}
	return max(room+len(o.Maps), 1)
}

// progCode is what a program needs beside its instructions.
type progCode struct {
	funcInfo, lineInfo []byte
	lines              func(e *encoder) []byte
}

// call makes a call and returns what it returns; the error is the kernel's reason.
func (l *Object) call(cmd sys.Cmd, attr sys.Attr) (int32, error) {
	v := l.p.BPF(cmd, attr)
	if v < 0 {
		return 0, l.p.Reason()
	}
	return int32(v), nil
}

// selectPrograms follows libbpf: a program is loaded unless its section says otherwise; a struct_ops table that is created
// loads those that it names.
func (l *Object) selectPrograms(opt Options) {
	named := map[string]bool{}
	for _, t := range l.o.StructOps {
		for _, m := range t.Members {
			if t.AutoCreate && m.Prog != "" {
				named[m.Prog] = true
			}
		}
	}
	for _, p := range l.o.Programs {
		take := p.AutoLoad || named[p.Name]
		if opt.Select != nil {
			take = opt.Select(p)
		}
		if p.Kind == elf.KindStructOps {
			// A table of a type that the kernel has must name it.
			t, _, _ := l.member(p.Name)
			take = take && t != nil
		}
		if take {
			l.progs = append(l.progs, p)
		}
	}
}

// createMap creates map number i with its data. One that the kernel refuses leaves a gap unless code needs it.
func (l *Object) createMap(i int) error {
	m := l.o.Maps[i]
	fd, err := l.mapCreate(m)
	if err != nil {
		if link.MapUser(l.progs, i) == "" {
			l.refused[i] = err
			return nil
		}
		return fmt.Errorf("map %q: %w%s", m.Name, err, link.MapUser(l.progs, i))
	}
	l.mapFD[i] = fd
	if a := l.o.Arena; a != nil && a.Map == i {
		if err := l.fillArena(fd, m, a); err != nil {
			return fmt.Errorf("map %q: data: %w", m.Name, err)
		}
	}
	if m.Section == "" {
		return nil
	}
	// Follows bpf_object__populate_internal_map, which writes through the mapping of the map. What is zero is zero already:
	// large sections cost what is touched.
	if data := bytes.TrimRight(m.Data, "\x00"); len(data) > 0 {
		if err := l.p.Store(int(fd), 0, data); err != nil {
			return fmt.Errorf("map %q: data: %w", m.Name, err)
		}
	}
	if m.Frozen {
		if _, err := l.call(sys.MapFreeze, sys.Words(uint32(fd))); err != nil {
			return fmt.Errorf("map %q: freeze: %w", m.Name, err)
		}
	}
	return nil
}

// arenaData is the byte of the arena at which its global variables begin: they are its last pages.
func arenaData(m *link.Map, a *elf.Arena) uint64 {
	return (uint64(m.MaxEntries) - (uint64(a.Size)+pageSize-1)/pageSize) * pageSize
}

const pageSize = 4096

// fillArena copies the arena's global variables to its end, as bpf_object__create_maps does through the mapping of the map.
// All their pages are touched.
func (l *Object) fillArena(fd int32, m *link.Map, a *elf.Arena) error {
	if uint64(a.Size) > uint64(m.MaxEntries)*pageSize {
		return fmt.Errorf("%d bytes do not fit %d pages", a.Size, m.MaxEntries)
	}
	at, end := arenaData(m, a), arenaData(m, a)+uint64(a.Size)
	zeros := make([]byte, min(64<<10, a.Size))
	for data := a.Data; ; data = zeros[:min(end-at, uint64(len(zeros)))] {
		if err := l.p.Store(int(fd), at, data); err != nil {
			return err
		}
		if at += uint64(len(data)); at == end {
			return nil
		}
	}
}

// mapCreate follows bpf_object__create_map: when the kernel does not like the types of a map, it is created without.
func (l *Object) mapCreate(m *link.Map) (int32, error) {
	a := sys.MapAttr{Type: uint32(m.Type), KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries, Flags: m.Flags,
		NUMANode: m.NUMANode, Name: l.mapName(m), Extra: m.Extra, BTF: l.btf, KeyType: l.d.keys[m], ValueType: l.d.ids[m]}
	if m.Inner != nil {
		inner, err := l.mapCreate(m.Inner)
		if err != nil {
			return 0, err
		}
		defer l.p.Close(int(inner))
		a.InnerFD = inner
	}
	if noTypes(m) {
		a.KeyType, a.ValueType = 0, 0
	}
	fd, err := l.call(sys.MapCreate, a.Bytes())
	if err != nil && a.ValueType != 0 && !errors.Is(err, abi.ENOMEM) {
		a.KeyType, a.ValueType = 0, 0
		if again, e := l.call(sys.MapCreate, a.Bytes()); e == nil {
			return again, nil
		}
	}
	return fd, mapReason(err)
}

// noTypes follows the list of types in bpf_object__create_map whose kernel side takes no BTF.
func noTypes(m *link.Map) bool {
	switch maps.Type(m.Type) {
	case maps.TypePerfEventArray, maps.TypeCgroupArray, maps.TypeArrayOfMaps, maps.TypeHashOfMaps, maps.TypeQueue, maps.TypeStack,
		maps.TypeRingBuf, maps.TypeUserRingBuf, maps.TypeArena, 7, 14, 15, 16, 17, 18, 25, 34:
		return true
	}
	return false
}

// mapReason drops the name that the kernel knows the map by: callers say the object's.
func mapReason(err error) error {
	if err == nil {
		return nil
	}
	if s := err.Error(); strings.HasPrefix(s, `map "`) {
		if i := strings.Index(s, `": `); i >= 0 {
			return &reason{s[i+3:], err}
		}
	}
	return err
}

// reason is an error in other words.
type reason struct {
	text string
	err  error
}

func (r *reason) Error() string { return r.text }
func (r *reason) Unwrap() error { return r.err }

// mapName is the name that a map has in the kernel: at most 15 letters, digits, '_' and '.'. A data section begins with some
// letters of the object's name, as internal_map_name does.
func (l *Object) mapName(m *link.Map) string {
	name := m.Name
	if m.Section != "" {
		obj, _, _ := strings.Cut(l.o.Name, ".")
		room := max(sys.NameLen-1-len(m.Section), 0)
		if strings.HasPrefix(m.Section, ".data.") || strings.HasPrefix(m.Section, ".rodata.") {
			room = 0 // custom sections keep their own
		}
		name = obj[:min(len(obj), room, 8)] + m.Section
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '_'
	}, name)
	return name[:min(len(name), sys.NameLen-1)]
}

// fillMaps follows init_map_in_map_slots.
func (l *Object) fillMaps() error {
	for i, m := range l.o.Maps {
		if m.Inner == nil || l.mapFD[i] == 0 {
			continue
		}
		for _, slot := range m.Slots {
			fd := l.mapNamed(slot.Name)
			if fd == 0 {
				return fmt.Errorf("map %q: element %d: map %q was not created", m.Name, slot.Index, slot.Name)
			}
			if err := l.setSlot(i, slot.Index, fd); err != nil {
				return fmt.Errorf("map %q: element %d: map %q: %w", m.Name, slot.Index, slot.Name, err)
			}
		}
	}
	return nil
}

// fillProgArrays follows init_prog_array_slots.
func (l *Object) fillProgArrays() error {
	for i, m := range l.o.Maps {
		if m.Type != elf.MapTypeProgArray || l.mapFD[i] == 0 {
			continue
		}
		for _, slot := range m.Slots {
			fd := l.progFD(slot.Name)
			if fd == 0 {
				return fmt.Errorf("map %q: element %d: program %q is not loaded", m.Name, slot.Index, slot.Name)
			}
			if err := l.setSlot(i, slot.Index, fd); err != nil {
				return fmt.Errorf("map %q: element %d: program %q: %w", m.Name, slot.Index, slot.Name, err)
			}
		}
	}
	return nil
}

func (l *Object) setSlot(i int, index uint32, fd int32) error {
	key := make([]byte, max(l.o.Maps[i].KeySize, 4))
	binary.LittleEndian.PutUint32(key, index)
	value := binary.LittleEndian.AppendUint32(nil, uint32(fd))
	_, err := l.call(sys.MapUpdateElem, sys.ElemAttr{Map: l.mapFD[i], Key: l.u.Add(key[:l.o.Maps[i].KeySize]), Value: l.u.Add(value)}.Bytes())
	return err
}

func (l *Object) mapNamed(name string) int32 {
	for i, m := range l.o.Maps {
		if m.Name == name {
			return l.mapFD[i]
		}
	}
	return 0
}

// Map is the map with that name in the object (a data section's is the section's name), nil if there is none.
func (l *Object) Map(name string) *sys.Map { return l.p.Map(int(l.mapNamed(name))) }

// Maps are the maps by number in the object, nil for those that were not created.
func (l *Object) Maps() []*sys.Map {
	out := make([]*sys.Map, len(l.mapFD))
	for i, fd := range l.mapFD {
		if fd != 0 {
			out[i] = l.p.Map(int(fd))
		}
	}
	return out
}

// Prog is the program with that name, nil if there is none or it was not loaded.
func (l *Object) Prog(name string) *sys.Prog {
	if p := l.prog(name); p != nil {
		return l.p.Prog(int(p.fd))
	}
	return nil
}

// Forget lets go of what only loading and attaching tables need: code and types. What was loaded stays, so do the names of
// programs and variables.
func (l *Object) Forget() {
	l.d, l.refused, l.progs = nil, nil, nil
	o := &link.Object{Name: l.o.Name, License: l.o.License}
	for _, t := range l.o.StructOps {
		c := *t
		c.Members = keep.Clone(t.Members)
		for i := range c.Members {
			c.Members[i].Type = nil
		}
		o.StructOps = append(o.StructOps, &c)
	}
	list := keep.Slice[link.Map](len(l.o.Maps)) // in one piece
	for _, m := range l.o.Maps {
		list = append(list, link.Map{Name: m.Name, Type: m.Type, KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries,
			Flags: m.Flags, Section: m.Section, Frozen: m.Frozen, Inner: withoutTypes(m.Inner)})
		o.Maps = append(o.Maps, &list[len(list)-1])
	}
	if a := l.o.Arena; a != nil {
		o.Arena = &elf.Arena{Map: a.Map, Size: a.Size}
	}
	l.o, l.loaded, l.globals = o, keep.Clone(l.loaded), keep.Clone(l.globals)
	keep.Strings(l.names()...)
}

// withoutTypes is the template of a map of maps.
func withoutTypes(m *link.Map) *link.Map {
	if m == nil {
		return nil
	}
	c := *m
	c.Key, c.Value, c.Vars = nil, nil, nil
	return &c
}

// names are the strings that stay.
func (l *Object) names() []*string {
	out := []*string{&l.o.Name, &l.o.License}
	for _, m := range l.o.Maps {
		out = append(out, &m.Name, &m.Section)
	}
	for i := range l.globals {
		out = append(out, &l.globals[i].vars)
	}
	for i := range l.loaded {
		p := &l.loaded[i]
		out = append(out, &p.name, &p.section, &p.attach)
	}
	for _, t := range l.o.StructOps {
		out = append(out, &t.Name, &t.Type)
		for i := range t.Members {
			out = append(out, &t.Members[i].Name, &t.Members[i].Prog)
		}
	}
	return out
}

// Programs are the names of the programs that were loaded, in the order of the object.
func (l *Object) Programs() []string {
	names := make([]string, len(l.loaded))
	for i, p := range l.loaded {
		names[i] = p.name
	}
	return names
}
