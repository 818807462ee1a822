// Package cdecl writes types that BTF describes as C: declarations, and definitions in an order and with the padding that make a
// compiler lay them out as BTF says. Printer is the type to read first.
package cdecl
