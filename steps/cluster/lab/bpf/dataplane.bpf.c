// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The lab's eBPF dataplane: Service NAT, connection tracking, source policy and routes in maps, on tc ingress.
 *
 * A packet that a program takes never meets the node's netfilter: bpf_redirect() puts it on the tunnel,
 * bpf_redirect_peer() into the pod, bpf_redirect_neigh() on the wire. Whatever it does not take (ARP, ICMP,
 * fragments, traffic between nodes) goes on to the kernel's stack.
 *
 * It is a dataplane to measure, not to use: of TCP it knows but the packet that opens a connection, and entries leave
 * the connection table only when it is full. docs/lab.md says what that means for the figures.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ALWAYS_INLINE static __attribute__((always_inline)) inline
#define NETWORK_OFFSET ETH_HLEN
#define TRANSPORT_OFFSET (ETH_HLEN + sizeof(struct iphdr))
#define PARSED_BYTES (TRANSPORT_OFFSET + 8)
#define TCP_FLAGS_OFFSET (TRANSPORT_OFFSET + 13)
#define TCP_SYN 0x02
#define TCP_ACK 0x10
#define MORE_FRAGMENTS_OR_OFFSET 0x3fff
#define VXLAN_PORT 4789
#define REFRESH_NS 1000000000ULL
#define NOT_OURS (-1)
#define GATEWAY 0xa9fe0101	/* 169.254.1.1, as the pods know it */
#define FIRST_PORT 32768
#define PORTS 16384
#define PORT_TRIES 8
#define MOST_RULES 1024

struct service_key {
	__u32 address;
	__u16 port;
	__u8 protocol;
	__u8 padding;
};

/* As in Calico's maps: a Service leads to a number of backends, each of which has a key of its own. */
struct service {
	__u32 id;
	__u32 backends;
};

struct backend_key {
	__u32 service;
	__u32 ordinal;
};

struct backend {
	__u32 address;
	__u16 port;
	__u16 padding;
};

/* One rule of a policy on the pods of this node: a source and a port that new connections are compared with. */
struct rule {
	__u32 address;
	__u32 mask;
	__u32 port;
	__u32 allows;
};

struct flow {
	__u32 source;
	__u32 destination;
	__u16 source_port;
	__u16 destination_port;
	__u32 protocol;
};

enum action { LEAVE, REWRITE_DESTINATION, REWRITE_SOURCE };

struct connection {
	__u64 seen_ns;
	__u32 address;	/* what the rewritten side becomes */
	__u16 port;
	__u8 action;
	__u8 flags;
};

/* Of a connection. EXTERNAL: the client is beyond the overlay. HAIRPIN: the client is its own backend. */
enum flags { EXTERNAL = 1, HAIRPIN = 2 };

struct prefix {
	__u32 length;
	__u32 address;
};

struct route {
	__u32 local;	/* the interface is a pod's cable, not the tunnel */
	__u32 interface;
	__u8 destination_mac[ETH_ALEN];
	__u8 source_mac[ETH_ALEN];
};

struct config {
	__u32 direct_return;
	__u32 underlay_interface;
	__u32 node_address;
	__u32 load_balancer;
};

/* How many rules of policies there are: the first so many of `policies`. */
struct policed {
	__u32 rules;
};

/* What was done with a packet; evidence adds them all up. */
enum hit {
	FROM_POD,
	FROM_TUNNEL,
	FROM_NODE,
	FROM_WIRE,
	NODEPORT,
	RETURNED_THROUGH_TUNNEL,
	RETURNED_DIRECTLY,
	LEFT_AS_NODE,
	HITS
};

#define MAP(map_name, map_type, key_type, value_type, entries, flags) \
	struct { \
		__uint(type, map_type); \
		__type(key, key_type); \
		__type(value, value_type); \
		__uint(max_entries, entries); \
		__uint(map_flags, flags); \
	} map_name SEC(".maps")

MAP(services, BPF_MAP_TYPE_HASH, struct service_key, struct service, 65536, BPF_F_NO_PREALLOC);
MAP(backends, BPF_MAP_TYPE_HASH, struct backend_key, struct backend, 262144, BPF_F_NO_PREALLOC);
MAP(policies, BPF_MAP_TYPE_ARRAY, __u32, struct rule, MOST_RULES, 0);
MAP(policed, BPF_MAP_TYPE_ARRAY, __u32, struct policed, 1, 0);
MAP(connections, BPF_MAP_TYPE_LRU_HASH, struct flow, struct connection, 65536, 0);
MAP(routes, BPF_MAP_TYPE_LPM_TRIE, struct prefix, struct route, 1024, BPF_F_NO_PREALLOC);
MAP(sources, BPF_MAP_TYPE_LPM_TRIE, struct prefix, __u32, 1024, BPF_F_NO_PREALLOC);
MAP(settings, BPF_MAP_TYPE_ARRAY, __u32, struct config, 1, 0);
MAP(hits, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, HITS, 0);

struct packet {
	struct flow flow;
	__u32 checksum_offset;
	__u8 ttl;
	__u8 opens;	/* the first packet of a TCP connection */
};

ALWAYS_INLINE void count(__u32 what)
{
	__u64 *hit = bpf_map_lookup_elem(&hits, &what);

	if (hit)
		(*hit)++;
}

ALWAYS_INLINE struct config *config(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&settings, &only);
}

ALWAYS_INLINE struct route *route_to(__u32 address)
{
	struct prefix key = { 32, address };

	return bpf_map_lookup_elem(&routes, &key);
}

/* One of the backends of the Service that a packet is sent to, chosen at random; null: it is sent to none. */
ALWAYS_INLINE struct backend *service(const struct flow *flow)
{
	struct service_key key = { flow->destination, flow->destination_port, flow->protocol, 0 };
	struct service *found = bpf_map_lookup_elem(&services, &key);
	struct backend_key which = {};

	if (!found || !found->backends)
		return 0;
	which.service = found->id;
	if (found->backends > 1)
		which.ordinal = bpf_get_prandom_u32() % found->backends;
	return bpf_map_lookup_elem(&backends, &which);
}

/*
 * Whether a policy decides on a new connection: each rule is compared in turn, as a dataplane of rules does, and what
 * none matches is left to the profile behind them. A function of its own, so that the verifier follows the loop once.
 */
static __attribute__((noinline)) int refused(__u32 source, __u32 port)
{
	__u32 only = 0;
	struct policed *policed_ = bpf_map_lookup_elem(&policed, &only);

	if (!policed_)
		return 0;
	for (__u32 i = 0; i < MOST_RULES && i < policed_->rules; i++) {
		__u32 index = i;
		struct rule *rule = bpf_map_lookup_elem(&policies, &index);

		if (rule && (source & rule->mask) == rule->address && port == rule->port)
			return !rule->allows;
	}
	return 0;
}

/* NOT_OURS unless it is a whole IPv4 packet, without options, of TCP or UDP. */
ALWAYS_INLINE int parse(struct __sk_buff *skb, struct packet *packet)
{
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return NOT_OURS;
	if ((void *)(long)skb->data + PARSED_BYTES > (void *)(long)skb->data_end &&
	    bpf_skb_pull_data(skb, PARSED_BYTES))
		return NOT_OURS;

	void *data = (void *)(long)skb->data;
	void *end = (void *)(long)skb->data_end;

	if (data + PARSED_BYTES > end)
		return NOT_OURS;

	struct iphdr *ip = data + NETWORK_OFFSET;
	__u16 *ports = data + TRANSPORT_OFFSET;
	__u8 flags = 0;

	if (ip->ihl != 5 || (ip->frag_off & bpf_htons(MORE_FRAGMENTS_OR_OFFSET)))
		return NOT_OURS;
	if (ip->protocol == IPPROTO_TCP) {
		packet->checksum_offset = TRANSPORT_OFFSET + 16;
		if (data + TCP_FLAGS_OFFSET < end)
			flags = *(__u8 *)(data + TCP_FLAGS_OFFSET);
		else if (bpf_skb_load_bytes(skb, TCP_FLAGS_OFFSET, &flags, 1))
			return NOT_OURS;
	} else if (ip->protocol == IPPROTO_UDP) {
		packet->checksum_offset = TRANSPORT_OFFSET + 6;
	} else {
		return NOT_OURS;
	}
	packet->opens = (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	packet->flow = (struct flow){ ip->saddr, ip->daddr, ports[0], ports[1], ip->protocol };
	packet->ttl = ip->ttl;
	return 0;
}

ALWAYS_INLINE void rewrite(struct __sk_buff *skb, struct packet *packet, const struct connection *connection)
{
	int to = connection->action == REWRITE_DESTINATION;
	__u32 new_address = connection->address;
	__u32 old_address = to ? packet->flow.destination : packet->flow.source;
	__u16 new_port = connection->port;
	__u16 old_port = to ? packet->flow.destination_port : packet->flow.source_port;
	/* A UDP checksum of zero says that there is none, and must stay so. */
	__u64 udp = packet->flow.protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;

	bpf_l4_csum_replace(skb, packet->checksum_offset, old_address, new_address, 4 | BPF_F_PSEUDO_HDR | udp);
	bpf_l4_csum_replace(skb, packet->checksum_offset, old_port, new_port, 2 | udp);
	bpf_l3_csum_replace(skb, NETWORK_OFFSET + 10, old_address, new_address, 4);
	bpf_skb_store_bytes(skb, NETWORK_OFFSET + (to ? 16 : 12), &new_address, 4, 0);
	bpf_skb_store_bytes(skb, TRANSPORT_OFFSET + (to ? 2 : 0), &new_port, 2, 0);
	/* Not by a pointer to the one or the other: the verifier lets no pointer be chosen by arithmetic. */
	if (to) {
		packet->flow.destination = new_address;
		packet->flow.destination_port = new_port;
	} else {
		packet->flow.source = new_address;
		packet->flow.source_port = new_port;
	}
}

/* Translates a packet; that of a client which is its own backend on both sides, or the pod would drop its own source. */
ALWAYS_INLINE void translate(struct __sk_buff *skb, struct packet *packet, const struct connection *connection)
{
	struct connection other = { .address = packet->flow.source, .port = packet->flow.destination_port,
				    .action = REWRITE_DESTINATION };

	if (connection->action == LEAVE)
		return;
	if (connection->action == REWRITE_DESTINATION) {
		other.address = bpf_htonl(GATEWAY);
		other.port = packet->flow.source_port;
		other.action = REWRITE_SOURCE;
	}
	rewrite(skb, packet, connection);
	if (connection->flags & HAIRPIN)
		rewrite(skb, packet, &other);
}

/* The port under which a connection leaves as the node's: its own, or another where a reply could be of two pods. */
ALWAYS_INLINE int choose_port(struct flow *reply)
{
	for (int tries = 0; tries < PORT_TRIES; tries++) {
		if (!bpf_map_lookup_elem(&connections, reply))
			return 0;
		reply->destination_port = bpf_htons(FIRST_PORT + bpf_get_prandom_u32() % PORTS);
	}
	return NOT_OURS;
}

/*
 * Finds the packet's connection, or makes it: backend, policy, and an entry each way. NOT_OURS: policy says no.
 * The first packet of a TCP connection makes it anew: the entries of an earlier one from the same port are still there.
 * node: of a pod's packet, which leaves the cluster from this node's address; null for all others.
 */
ALWAYS_INLINE int track(const struct packet *packet, struct connection *found, __u8 flags, const struct config *node)
{
	const struct flow *flow = &packet->flow;
	__u64 now = bpf_ktime_get_ns();
	struct connection *known = bpf_map_lookup_elem(&connections, flow);

	if (known && !packet->opens) {
		/* Writing for each packet would make the cores fight over the entry. */
		if (now - known->seen_ns > REFRESH_NS)
			known->seen_ns = now;
		*found = *known;
		return 0;
	}

	struct prefix source = { 32, flow->source };
	__u32 *allowed = bpf_map_lookup_elem(&sources, &source);

	if (!allowed || !*allowed || refused(flow->source, flow->destination_port))
		return NOT_OURS;

	struct connection there = { .seen_ns = now, .flags = flags };
	struct connection back = there;
	struct flow reply = { flow->destination, flow->source, flow->destination_port, flow->source_port,
			      flow->protocol };
	struct backend *backend = service(flow);

	if (backend) {
		there.action = REWRITE_DESTINATION;
		there.address = reply.source = backend->address;
		there.port = reply.source_port = backend->port;
		back.action = REWRITE_SOURCE;
		back.address = flow->destination;
		back.port = flow->destination_port;
		if (backend->address == flow->source) {
			reply.destination = bpf_htonl(GATEWAY);
			there.flags |= HAIRPIN;
			back.flags |= HAIRPIN;
		}
	} else if (node && flow->destination != node->node_address && !route_to(flow->destination)) {
		reply.destination = node->node_address;
		if (known && known->action == REWRITE_SOURCE)
			reply.destination_port = known->port;	/* or a repeated request would be two connections */
		else if (choose_port(&reply))
			return NOT_OURS;
		there.action = REWRITE_SOURCE;
		there.address = reply.destination;
		there.port = reply.destination_port;
		back.action = REWRITE_DESTINATION;
		back.address = flow->source;
		back.port = flow->source_port;
	}
	bpf_map_update_elem(&connections, flow, &there, BPF_ANY);
	bpf_map_update_elem(&connections, &reply, &back, BPF_ANY);
	*found = there;
	return 0;
}

ALWAYS_INLINE int age(struct __sk_buff *skb, const struct packet *packet)
{
	if (packet->ttl <= 1)
		return NOT_OURS;

	__u8 ttl = packet->ttl - 1;
	__u16 old_word = bpf_htons(packet->ttl << 8 | packet->flow.protocol);
	__u16 new_word = bpf_htons(ttl << 8 | packet->flow.protocol);

	bpf_l3_csum_replace(skb, NETWORK_OFFSET + 10, old_word, new_word, 2);
	bpf_skb_store_bytes(skb, NETWORK_OFFSET + 8, &ttl, 1, 0);
	return 0;
}

ALWAYS_INLINE int forward(struct __sk_buff *skb, const struct packet *packet, const struct route *route, __u32 what)
{
	if (age(skb, packet))
		return TC_ACT_OK;
	bpf_skb_store_bytes(skb, 0, route->destination_mac, 2 * ETH_ALEN, 0);
	count(what);
	return route->local ? bpf_redirect_peer(route->interface, 0) : bpf_redirect(route->interface, 0);
}

ALWAYS_INLINE int to_wire(struct __sk_buff *skb, const struct packet *packet, const struct config *config, __u32 what)
{
	if (age(skb, packet))
		return TC_ACT_OK;
	count(what);
	return bpf_redirect_neigh(config->underlay_interface, 0, 0, 0);
}

/* Ingress of the node's end of a pod's cable. */
SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	struct packet packet;
	struct connection connection;

	struct config *config_ = config();

	if (!config_ || parse(skb, &packet))
		return TC_ACT_OK;
	if (track(&packet, &connection, 0, config_))
		return TC_ACT_SHOT;
	translate(skb, &packet, &connection);

	struct route *route = route_to(packet.flow.destination);

	if (route)
		return forward(skb, &packet, route, FROM_POD);
	if (connection.action != REWRITE_SOURCE || packet.flow.destination == config_->node_address)
		return TC_ACT_OK;
	/* By now from this node's own address: a pod's request that leaves the cluster, or a reply of a NodePort here. */
	if (packet.flow.source == config_->node_address)
		return to_wire(skb, &packet, config_, LEFT_AS_NODE);
	if (!(connection.flags & EXTERNAL))
		return TC_ACT_OK;
	/* A reply to a client outside, which by now comes from the address that the client asked. */
	if (config_->direct_return)
		return to_wire(skb, &packet, config_, RETURNED_DIRECTLY);
	route = route_to(packet.flow.source);
	return route ? forward(skb, &packet, route, RETURNED_THROUGH_TUNNEL) : TC_ACT_OK;
}

/* Ingress of the VXLAN interface. */
SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	struct packet packet;
	struct connection connection;

	if (parse(skb, &packet))
		return TC_ACT_OK;

	struct config *config_ = config();

	if (config_ && (packet.flow.source == config_->node_address || packet.flow.source == config_->load_balancer) &&
	    !route_to(packet.flow.destination))
		return to_wire(skb, &packet, config_, RETURNED_THROUGH_TUNNEL);
	if (track(&packet, &connection, route_to(packet.flow.source) ? 0 : EXTERNAL, 0))
		return TC_ACT_SHOT;
	translate(skb, &packet, &connection);

	struct route *route = route_to(packet.flow.destination);

	return route && route->local ? forward(skb, &packet, route, FROM_TUNNEL) : TC_ACT_OK;
}

/*
 * Ingress of the underlay. A request to a NodePort or a load balancer's address whose backend is on the other node goes
 * there as it is: that node does the NAT, so that it can answer directly. One with its backend here, and a reply to
 * what a pod here sent out of the cluster, are translated and go into the pod.
 */
SEC("tc")
int from_wire(struct __sk_buff *skb)
{
	struct packet packet;
	struct connection connection;
	struct config *config_ = config();

	if (!config_ || parse(skb, &packet))
		return TC_ACT_OK;
	if (packet.flow.protocol == IPPROTO_UDP && packet.flow.destination_port == bpf_htons(VXLAN_PORT))
		return TC_ACT_OK;

	struct backend *backend = service(&packet.flow);
	struct route *route = backend ? route_to(backend->address) : 0;

	if (route && !route->local)
		return forward(skb, &packet, route, NODEPORT);
	if (packet.flow.destination != config_->node_address)
		return TC_ACT_OK;
	if (!route && (packet.opens || !bpf_map_lookup_elem(&connections, &packet.flow)))
		return TC_ACT_OK;
	if (track(&packet, &connection, EXTERNAL, 0))
		return TC_ACT_SHOT;
	if (connection.action != REWRITE_DESTINATION)
		return TC_ACT_OK;
	translate(skb, &packet, &connection);
	route = route_to(packet.flow.destination);
	return route && route->local ? forward(skb, &packet, route, FROM_WIRE) : TC_ACT_OK;
}

/*
 * Egress of the loopback interface, to which the node's routes lead what it sends itself to a Service or to its own
 * NodePort. bpf_redirect_peer() works on ingress alone.
 */
SEC("tc")
int from_node(struct __sk_buff *skb)
{
	struct packet packet;
	struct connection connection;

	if (parse(skb, &packet) || !service(&packet.flow))
		return TC_ACT_OK;
	if (track(&packet, &connection, 0, 0))
		return TC_ACT_SHOT;
	translate(skb, &packet, &connection);

	struct route *route = route_to(packet.flow.destination);

	if (!route)
		return TC_ACT_OK;
	bpf_skb_store_bytes(skb, 0, route->destination_mac, 2 * ETH_ALEN, 0);
	count(FROM_NODE);
	return bpf_redirect(route->interface, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
