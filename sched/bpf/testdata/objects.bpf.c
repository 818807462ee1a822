#include "bpf.h"
#define __contains(type, field) __attribute__((btf_decl_tag("contains:" #type ":" #field)))
#define __kptr __attribute__((btf_type_tag("kptr")))
#define new(type) ((type *)bpf_obj_new_impl(__builtin_btf_type_id(*(type *)0, 0), 0))
#define container(p, type, field) ((type *)((void *)(p) - __builtin_offsetof(type, field)))

struct bpf_rb_root { u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_rb_node { u64 opaque[4]; } __attribute__((aligned(8)));
struct bpf_list_head { u64 opaque[2]; } __attribute__((aligned(8)));
struct bpf_list_node { u64 opaque[3]; } __attribute__((aligned(8)));
struct bpf_refcount { u32 opaque[1]; } __attribute__((aligned(4)));
struct bpf_spin_lock { u32 val; };

extern void *bpf_obj_new_impl(u64 type, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *p, void *meta) __ksym;
extern void *bpf_refcount_acquire_impl(void *p, void *meta) __ksym;
extern int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			       bool (less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta, u64 off) __ksym;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;
extern int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, u64 off) __ksym;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;

static void (*const spin_lock)(struct bpf_spin_lock *) = (void *)93;
static void (*const spin_unlock)(struct bpf_spin_lock *) = (void *)94;
static long (*const map_delete_elem)(void *map, const void *key) = (void *)3;
static long (*const map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static void *(*const kptr_xchg)(void *at, void *p) = (void *)194;

struct item {
	u64 key;
	struct bpf_rb_node in_tree;
	struct bpf_list_node in_list;
	struct bpf_refcount refs;
};

struct bpf_spin_lock lock SEC(".data.tree");
struct bpf_rb_root tree SEC(".data.tree") __contains(item, in_tree);
struct bpf_list_head queue SEC(".data.tree") __contains(item, in_list);

struct stash { struct item __kptr *item; };
struct { INT(type, 1); INT(max_entries, 4); TYPE(key, u64); TYPE(value, struct stash); } stashes SEC(".maps");

u64 out[16], calls;

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	calls++;
	return container(a, struct item, in_tree)->key < container(b, struct item, in_tree)->key;
}

/* Fills the tree, in an order of its own, and empties it into the queue in the order of keys. */
SEC("syscall") int sort(void *ctx)
{
	for (u32 i = 0; i < 11; i++) {
		struct item *n = new(struct item);

		if (!n)
			return -1;
		n->key = i * 7 % 11;
		spin_lock(&lock);
		bpf_rbtree_add_impl(&tree, &n->in_tree, less, 0, 0);
		spin_unlock(&lock);
	}
	for (u32 i = 0; i < 11; i++) {
		struct bpf_rb_node *first;

		spin_lock(&lock);
		first = bpf_rbtree_first(&tree);
		if (first)
			first = bpf_rbtree_remove(&tree, first);
		if (first)
			bpf_list_push_back_impl(&queue, &container(first, struct item, in_tree)->in_list, 0, 0);
		spin_unlock(&lock);
	}
	for (u32 i = 0; i < 16; i++) {
		struct bpf_list_node *n;

		spin_lock(&lock);
		n = bpf_list_pop_front(&queue);
		spin_unlock(&lock);
		if (!n)
			return i;
		out[i] = container(n, struct item, in_list)->key;
		bpf_obj_drop_impl(container(n, struct item, in_list), 0);
	}
	return -2;
}

/* An object in a map value, and one that the tree still owns when the programs go away. */
SEC("syscall") int keep(void *ctx)
{
	u64 key = 1;
	struct stash none = {};
	struct stash *s;
	struct item *n = new(struct item), *m;

	if (!n)
		return -1;
	n->key = 5;
	map_update_elem(&stashes, &key, &none, 0);
	s = map_lookup_elem(&stashes, &key);
	if (!s)
		return -2;
	m = bpf_refcount_acquire_impl(n, 0);
	n = kptr_xchg(&s->item, n);
	if (n || !m)
		return -3;
	spin_lock(&lock);
	bpf_rbtree_add_impl(&tree, &m->in_tree, less, 0, 0);
	spin_unlock(&lock);
	return map_delete_elem(&stashes, &key);
}

/* What the verifier would refuse. */
SEC("syscall") int bad(void *ctx)
{
	bpf_obj_drop_impl((void *)&tree, 0);
	return 0;
}
