// Package keep makes room for what stays in memory once programs are loaded, so that it keeps no more than itself.
//
// Go's allocator puts objects of up to 32 KB with others of about their size into spans of 8 to 80 KB, and gives a span back when
// all of its objects are gone. Loading makes many objects of all sizes and keeps few: one of 10 KB that stays can keep 40 KB.
// Objects whose size is a number of pages of 8 KB have a span for themselves.
//
// Read Slice first.
package keep
