package qemu

import (
	"bytes"
	"fmt"
	"path"
	"strings"
)

// Archive is an initramfs: a cpio archive in the kernel's "newc" form. Equal calls give equal bytes.
type Archive struct {
	b    bytes.Buffer
	ino  int
	dirs map[string]bool
}

// NewArchive returns an archive with the folders that an init mounts things at, and a console.
func NewArchive() *Archive {
	a := &Archive{dirs: map[string]bool{}}
	a.dir("dev")
	a.entry("dev/console", 0o020600, nil, 5, 1)
	for _, d := range []string{"proc", "sys", "tmp"} {
		a.dir(d)
	}
	return a
}

func (a *Archive) entry(name string, mode uint32, data []byte, major, minor int) {
	a.ino++
	fmt.Fprintf(&a.b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00", a.ino, mode, 0, 0, 1, 0, len(data), 0, 0,
		major, minor, len(name)+1, 0, name)
	a.pad()
	a.b.Write(data)
	a.pad()
}

func (a *Archive) pad() {
	for a.b.Len()%4 != 0 {
		a.b.WriteByte(0)
	}
}

func (a *Archive) dir(p string) {
	if p = strings.Trim(p, "/"); p == "" || p == "." || a.dirs[p] {
		return
	}
	a.dir(path.Dir(p))
	a.dirs[p] = true
	a.entry(p, 0o040755, nil, 0, 0)
}

// Add puts a file into the archive, and the folders above it.
func (a *Archive) Add(name string, data []byte, mode uint32) {
	name = strings.Trim(name, "/")
	a.dir(path.Dir(name))
	a.entry(name, 0o100000|mode, data, 0, 0)
}

// Bytes ends the archive.
func (a *Archive) Bytes() []byte {
	a.entry("TRAILER!!!", 0, nil, 0, 0)
	return a.b.Bytes()
}
