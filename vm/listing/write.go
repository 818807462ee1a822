package listing

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// WritePrograms writes programs as text: each C line before the bytecode that it became, and machine
// code, where there is some, below the instruction that it belongs to. An x stands before what is dead.
func WritePrograms(w io.Writer, ps []Program) error {
	b := bufio.NewWriter(w)
	for i, p := range ps {
		if i > 0 {
			fmt.Fprintln(b)
		}
		fmt.Fprintf(b, "program %s  section %q  %s%s\n", p.Name, p.Section, p.Kind, words(
			p.Sleepable, "sleepable", !p.AutoLoad, "not loaded by itself", p.Arch != "", p.Arch))
		if p.Error != "" {
			fmt.Fprintf(b, "  cannot be linked: %s\n", p.Error)
		}
		for _, f := range p.Functions {
			writeFunction(b, &f)
		}
	}
	return b.Flush()
}

// words joins those words whose condition holds, each after two spaces.
func words(pairs ...any) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i].(bool) {
			b.WriteString("  " + pairs[i+1].(string))
		}
	}
	return b.String()
}

func writeFunction(b *bufio.Writer, f *Function) {
	head := f.Prototype
	if head == "" {
		head = f.Name
	}
	fmt.Fprintf(b, "\n%s:%s\n", head, words(f.Global, "global", f.Callback, "callback"))
	for _, in := range f.Insns {
		if s := in.Source; s != nil {
			fmt.Fprintf(b, "%s:%d%s\n", s.File, s.Line, words(s.Text != "", s.Text))
		}
		mark := " "
		if in.Dead {
			mark = "x"
		}
		line := fmt.Sprintf("%s %5d: %s", mark, in.Slot, in.Text)
		if in.Note != "" {
			line = fmt.Sprintf("%-48s ; %s", line, in.Note)
		}
		fmt.Fprintln(b, line)
		for _, m := range in.Machine {
			fmt.Fprintf(b, "            %6x:  %-22s %s\n", m.Off, m.Bytes, m.Text)
		}
	}
}

// WriteMaps writes maps as text.
func WriteMaps(w io.Writer, ms []Map) error {
	b := bufio.NewWriter(w)
	for i, m := range ms {
		if i > 0 {
			fmt.Fprintln(b)
		}
		writeMap(b, &m, "")
	}
	return b.Flush()
}

func writeMap(b *bufio.Writer, m *Map, indent string) {
	fmt.Fprintf(b, "%smap %s  %s%s\n", indent, m.Name, m.Type, words(m.Frozen, "read-only"))
	side := func(what, typ string, size uint32) string {
		if typ == "" {
			return fmt.Sprintf("%s %d bytes", what, size)
		}
		return fmt.Sprintf("%s %s (%d bytes)", what, typ, size)
	}
	parts := []string{side("value", m.Value, m.ValueSize)}
	if m.KeySize != 0 {
		parts = append([]string{side("key", m.Key, m.KeySize)}, parts...)
	}
	if m.MaxEntries != 0 && m.Vars == nil {
		parts = append(parts, fmt.Sprintf("max %d", m.MaxEntries))
	}
	if m.Flags != "" {
		parts = append(parts, "flags "+m.Flags)
	}
	if m.Extra != 0 {
		parts = append(parts, fmt.Sprintf("extra %#x", m.Extra))
	}
	fmt.Fprintf(b, "%s  %s\n", indent, strings.Join(parts, ", "))
	for _, v := range m.Vars {
		fmt.Fprintf(b, "%s  %6d: %s = %s;%s\n", indent, v.Off, v.Decl, v.Value, words(v.Static, "// static", v.Weak, "// weak"))
	}
	for _, s := range m.Slots {
		fmt.Fprintf(b, "%s  [%d] = %s\n", indent, s.Index, s.Name)
	}
	if m.Inner != nil {
		fmt.Fprintf(b, "%s  inner:\n", indent)
		writeMap(b, m.Inner, indent+"    ")
	}
}
