package sys

import (
	"slices"

	"github.com/schedsim/schedsim/vm/abi"
)

// ids are the living objects of a kind, by ids that are never used again.
type ids[T any] struct {
	last uint32
	list []entry[T] // by id
}

type entry[T any] struct {
	id  uint32
	obj T
}

func (t *ids[T]) add(obj T) uint32 {
	t.last++
	t.list = append(t.list, entry[T]{t.last, obj})
	return t.last
}

// find returns the place of id, or where it would be.
func (t *ids[T]) find(id uint32) (int, bool) {
	return slices.BinarySearchFunc(t.list, id, func(e entry[T], id uint32) int {
		return int(int64(e.id) - int64(id))
	})
}

func (t *ids[T]) get(id uint32) (obj T, ok bool) {
	i, ok := t.find(id)
	if ok {
		obj = t.list[i].obj
	}
	return obj, ok
}

func (t *ids[T]) remove(id uint32) {
	i, ok := t.find(id)
	if !ok {
		panic("BUG: an object without id is freed")
	}
	t.list = slices.Delete(t.list, i, i+1)
}

// next is the lowest id above id, 0 if there is none.
func (t *ids[T]) next(id uint32) uint32 {
	i, ok := t.find(id)
	if ok {
		i++
	}
	if i == len(t.list) {
		return 0
	}
	return t.list[i].id
}

// nextID follows bpf_obj_get_next_id.
func (c *call) nextID(next func(uint32) uint32) (int64, error) {
	if err := c.checkAttr(ProgGetNextID); err != nil {
		return 0, err
	}
	start := c.u32(0)
	switch {
	case start >= 1<<31-1:
		return 0, refuse(abi.EINVAL, "id %d", start)
	case !c.p.Caps.SysAdmin:
		return 0, abi.EPERM
	}
	id := next(start)
	if id == 0 {
		return 0, abi.ENOENT
	}
	return 0, c.put(4, id)
}

// byID opens the object with the id in the attributes.
func byID[T object](c *call, t *ids[T], last Cmd, flags uint32) (int64, error) {
	if !c.p.Caps.SysAdmin {
		return 0, abi.EPERM
	}
	obj, ok := t.get(c.u32(0))
	if !ok {
		return 0, refuse(abi.ENOENT, "%s: nothing has the id %d", last, c.u32(0))
	}
	obj.hold()
	if m, ok := any(obj).(*Map); ok {
		m.users++
	}
	return c.p.install(obj, flags)
}

func (c *call) progByID() (int64, error) {
	if err := c.checkAttr(ProgGetFDByID); err != nil {
		return 0, err
	}
	return byID(c, &c.k.progs, ProgGetFDByID, 0)
}

func (c *call) linkByID() (int64, error) {
	if err := c.checkAttr(LinkGetFDByID); err != nil {
		return 0, err
	}
	return byID(c, &c.k.links, LinkGetFDByID, 0)
}

func (c *call) btfByID() (int64, error) {
	if err := c.checkAttr(BTFGetFDByID); err != nil {
		return 0, err
	}
	switch flags := c.u32(8); {
	case flags&^flagTokenFD != 0:
		return 0, refuse(abi.EINVAL, "flags %#x", flags)
	case flags != 0:
		return 0, c.noToken(12)
	}
	return byID(c, &c.k.btfs, BTFGetFDByID, 0)
}

func (c *call) mapByID() (int64, error) {
	if err := c.checkAttr(MapGetFDByID); err != nil {
		return 0, err
	}
	flags := c.u32(8)
	if flags&^objFlagMask != 0 || flags == objFlagMask {
		if flags == objFlagMask && !c.p.Caps.SysAdmin {
			return 0, abi.EPERM
		}
		return 0, refuse(abi.EINVAL, "flags %#x", flags)
	}
	return byID(c, &c.k.maps, MapGetFDByID, flags)
}

// noToken is what a token's descriptor at off amounts to, since no tokens exist.
func (c *call) noToken(off int) error {
	if c.p.file(c.fd(off)) == nil {
		return refuse(abi.EBADF, "descriptor %d is not open", c.fd(off))
	}
	return refuse(abi.EINVAL, "descriptor %d is no token", c.fd(off))
}
