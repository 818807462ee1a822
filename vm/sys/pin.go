package sys

import (
	"path"
	"slices"
	"strings"

	"github.com/schedsim/schedsim/vm/abi"
)

// FSRoot is where the file system of pinned objects is mounted.
const FSRoot = "/sys/fs/bpf"

// pathMax is PATH_MAX.
const pathMax = 4096

// bpffs is the file system of pinned objects: directories and the objects in them, by clean path. It follows
// kernel/bpf/inode.c, without permissions, links and the like.
type bpffs struct {
	dirs []string // sorted
	pins []pin    // in order of creation
}

type pin struct {
	path string
	obj  object
}

func newFS() bpffs { return bpffs{dirs: []string{FSRoot}} }

func (fs *bpffs) pin(name string) int {
	return slices.IndexFunc(fs.pins, func(p pin) bool { return p.path == name })
}

func (fs *bpffs) isDir(name string) bool {
	_, ok := slices.BinarySearch(fs.dirs, name)
	return ok
}

func (fs *bpffs) clear() {
	for len(fs.pins) > 0 {
		fs.remove(len(fs.pins) - 1)
	}
	fs.dirs = []string{FSRoot}
}

func (fs *bpffs) remove(i int) {
	obj := fs.pins[i].obj
	fs.pins = slices.Delete(fs.pins, i, i+1)
	if m, ok := obj.(*Map); ok {
		m.putUser()
	}
	obj.put()
}

// create tells whether a file or directory may be made at name.
func (fs *bpffs) create(name string) abi.Errno {
	dir := path.Dir(name)
	switch {
	case fs.pin(name) >= 0 || fs.isDir(name):
		return abi.EEXIST
	case !fs.isDir(dir):
		if strings.HasPrefix(dir+"/", FSRoot+"/") || path.Dir(dir) != "/" && dir != "/" {
			return abi.ENOENT
		}
		return abi.EPERM // some directory of another file system
	case strings.Contains(path.Base(name), "."):
		return abi.EPERM // follows bpf_lookup
	}
	return 0
}

// Mkdir makes a directory in the file system of pinned objects.
func (k *Kernel) Mkdir(name string) error {
	name = path.Clean(name)
	if e := k.fs.create(name); e != 0 {
		return e
	}
	i, _ := slices.BinarySearch(k.fs.dirs, name)
	k.fs.dirs = slices.Insert(k.fs.dirs, i, name)
	return nil
}

// Unlink removes a pinned object from the file system.
func (k *Kernel) Unlink(name string) error {
	i := k.fs.pin(path.Clean(name))
	if i < 0 {
		return abi.ENOENT
	}
	k.fs.remove(i)
	k.sweep()
	return nil
}

// Pins are the paths of all pinned objects, sorted.
func (k *Kernel) Pins() []string {
	var out []string
	for _, p := range k.fs.pins {
		out = append(out, p.path)
	}
	slices.Sort(out)
	return out
}

// path reads the path in the attributes.
func (c *call) path() (string, error) {
	s, ok, err := c.cString(c.u64(0), pathMax)
	switch {
	case err != nil:
		return "", err
	case !ok:
		return "", abi.ENAMETOOLONG
	case s == "":
		return "", abi.ENOENT
	}
	if !strings.HasPrefix(s, "/") {
		s = "/cwd/" + s // a working directory in another file system
	}
	return path.Clean(s), nil
}

// atDir follows the checks of path_fd: descriptors of directories do not exist.
func (c *call) atDir(flags uint32) error {
	switch {
	case flags&flagPathFD == 0 && c.u32(16) != 0:
		return refuse(abi.EINVAL, "path_fd without its flag")
	case flags&flagPathFD != 0 && c.p.file(c.fd(16)) == nil && c.fd(16) != -100: // AT_FDCWD
		return refuse(abi.EBADF, "descriptor %d is not open", c.fd(16))
	}
	return nil
}

// objPin follows bpf_obj_pin and bpf_obj_pin_user.
func (c *call) objPin() (int64, error) {
	if err := c.checkAttr(ObjPin); err != nil {
		return 0, err
	}
	flags := c.u32(12)
	if flags&^flagPathFD != 0 {
		return 0, refuse(abi.EINVAL, "flags %#x", flags)
	}
	if err := c.atDir(flags); err != nil {
		return 0, err
	}
	f := c.p.file(c.fd(8))
	if f == nil || f.obj == nil {
		return 0, refuse(abi.EINVAL, "descriptor %d cannot be pinned", c.fd(8))
	}
	if _, ok := f.obj.(*BTF); ok {
		return 0, refuse(abi.EINVAL, "BTF cannot be pinned")
	}
	name, err := c.path()
	if err != nil {
		return 0, err
	}
	if e := c.k.fs.create(name); e != 0 {
		return 0, e
	}
	f.obj.hold()
	if m, ok := f.obj.(*Map); ok {
		m.users++
	}
	c.k.fs.pins = append(c.k.fs.pins, pin{name, f.obj})
	return 0, nil
}

// objGet follows bpf_obj_get and bpf_obj_get_user.
func (c *call) objGet() (int64, error) {
	if err := c.checkAttr(ObjGet); err != nil {
		return 0, err
	}
	flags := c.u32(12)
	if c.u32(8) != 0 || flags&^(objFlagMask|flagPathFD) != 0 {
		return 0, refuse(abi.EINVAL, "descriptor %d, flags %#x", c.u32(8), flags)
	}
	if err := c.atDir(flags); err != nil {
		return 0, err
	}
	if flags&objFlagMask == objFlagMask {
		return 0, refuse(abi.EINVAL, "both read-only and write-only")
	}
	name, err := c.path()
	if err != nil {
		return 0, err
	}
	i := c.k.fs.pin(name)
	if i < 0 {
		if c.k.fs.isDir(name) {
			return 0, abi.EACCES // follows bpf_inode_type
		}
		return 0, abi.ENOENT
	}
	obj := c.k.fs.pins[i].obj
	if _, ok := obj.(*Link); ok && flags&objFlagMask != 0 {
		return 0, refuse(abi.EINVAL, "a link is opened for reading and writing")
	}
	obj.hold()
	if m, ok := obj.(*Map); ok {
		m.users++
	} else {
		flags = 0
	}
	return c.p.install(obj, flags)
}
