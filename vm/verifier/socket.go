package verifier

// Sockets are seen through structs of the kernel's interface, whose fields the kernel translates: struct bpf_sock,
// bpf_tcp_sock and bpf_xdp_sock.

func (t regType) socket() bool {
	switch t.base() {
	case ptrToSocket, ptrToSockCommon, ptrToTCPSock, ptrToXDPSock:
		return true
	}
	return false
}

// Offsets in struct bpf_sock of include/uapi/linux/bpf.h.
const (
	sockType    = 8
	sockMark    = 16
	sockSrcIP4  = 24
	sockSrcPort = 44
	sockDstPort = 48
	sockDstIP4  = 52
	sockState   = 72
	sockQueue   = 76
	sockSize    = 80
	tcpSockSize = 112 // up to icsk_retransmits
	xdpSockSize = 4
)

// SocketField tells whether size bytes at off of struct bpf_sock may be read. It follows bpf_sock_is_valid_access
// (net/core/filter.c, 7.2).
func SocketField(off, size int) bool {
	if off < 0 || off >= sockSize || off%size != 0 {
		return false
	}
	narrow := size <= 4
	switch {
	case off == 4, off == sockType, off == 12, off >= sockSrcIP4 && off < sockSrcPort, off == sockSrcPort,
		off >= sockDstIP4 && off < sockState, off == sockState, off == sockQueue:
		return narrow
	case off == sockDstPort || off == sockDstPort+1:
		return size <= 2 || size == 4
	case off > sockDstPort+1 && off < sockDstIP4:
		return false
	}
	return size == 4
}

// accessSocket follows check_sock_access.
func (v *verifier) accessSocket(a access, d *reg) error {
	r := a.r
	if a.write {
		return refuse(CodeReadOnly, "%s cannot write into %v", a.name, r.typ)
	}
	if r.smin() < 0 {
		return refuse(CodeBounds, "%s min value is negative, either use unsigned index or do a if (index >=0) check.", a.name)
	}
	off, ok := int(a.off), false
	switch r.typ {
	case ptrToSockCommon:
		ok = (off < sockType || off >= sockMark+8) && SocketField(off, a.size)
	case ptrToSocket:
		ok = SocketField(off, a.size)
	case ptrToTCPSock:
		want := 4
		if off == tcpBytesReceived || off == tcpBytesAcked {
			want = 8
		}
		ok = off >= 0 && off < tcpSockSize && off%a.size == 0 && a.size == want
	case ptrToXDPSock:
		ok = off >= 0 && off < xdpSockSize && off%a.size == 0 && a.size == 4
	}
	if !ok {
		return refuse(CodeCtxAccess, "%s invalid %v access off=%d size=%d", a.name, r.typ, off, a.size)
	}
	if d != nil {
		d.markUnknown()
	}
	return nil
}

// Offsets in struct bpf_tcp_sock.
const (
	tcpBytesReceived = 80
	tcpBytesAcked    = 88
)

// accessFlowKeys follows check_flow_keys_access.
func (v *verifier) accessFlowKeys(a access, d *reg) error {
	r := a.r
	if !r.bits.isConst() {
		return refuse(CodeBounds, "%s invalid variable offset to flow keys: off=%d, var_off=%v", a.name, a.off, r.bits)
	}
	if off := a.off + r.off(); off < 0 || off+int64(a.size) > flowKeysSize {
		return refuse(CodeBounds, "invalid access to flow keys off=%d size=%d", off, a.size)
	}
	if d != nil {
		d.markUnknown()
	}
	return nil
}

const flowKeysSize = 56 // of struct bpf_flow_keys

// accessBuffer checks memory whose size is checked when the program is attached: the buffer of a writable raw tracepoint, or
// that of an iterator. It follows __check_buffer_access.
func (v *verifier) accessBuffer(a access, d *reg) error {
	r, what := a.r, "tracepoint"
	if r.typ.base() == ptrToBuf {
		what = "rdwr"
		if r.typ.has(rdonly) {
			what = "rdonly"
		}
		if a.write && r.typ.has(rdonly) {
			return refuse(CodeReadOnly, "%s cannot write into %v", a.name, r.typ)
		}
	}
	if !r.bits.isConst() {
		return refuse(CodeBounds, "%s invalid variable buffer offset: off=%d, var_off=%v", a.name, a.off, r.bits)
	}
	if a.off+r.off() < 0 || a.off+r.off()+int64(a.size) > maxBuffer {
		return refuse(CodeBounds, "%s invalid negative %s buffer offset: off=%d, var_off=%d", a.name, what, a.off, r.off())
	}
	if d != nil {
		d.markUnknown()
	}
	return nil
}

// maxBuffer bounds what a program may ask of a buffer: more than any has.
const maxBuffer = 1 << 29

// castsSocket: the helper gives its socket argument back as another type, or null. It follows is_ptr_cast_function.
func (h *helper) castsSocket() bool {
	switch h.id {
	case 95, 96, 136, 137, 138, 139, 140, 196: // sk_fullsock, tcp_sock, skc_to_*
		return true
	}
	return false
}

// acquires: the result has to be released. It follows is_acquire_function.
func (h *helper) acquires(m *mapInfo) bool {
	switch h.id {
	case 84, 85, 99, 131, 194: // sk_lookup_tcp, sk_lookup_udp, skc_lookup_tcp, ringbuf_reserve, kptr_xchg
		return true
	case 1:
		return m != nil && (m.typ == mapSock || m.typ == mapSockHash)
	}
	return false
}

// movesPacket: packets may be elsewhere after the call. It follows bpf_helper_changes_pkt_data.
func (h *helper) movesPacket() bool {
	switch h.id {
	case 9, 10, 11, 12, 13, 18, 19, 31, 38, 39, 43, 44, 50, 54, 63, 65, 73, 74, 75, 76, 90, 91, 143:
		return true
	}
	return false
}
