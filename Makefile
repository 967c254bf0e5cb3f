# SPDX-License-Identifier: GPL-2.0
# Thin front door: each target says what it does; how is in the room it calls.

KDIR    ?= /lib/modules/$(shell uname -r)/build
BUILD   ?= $(CURDIR)/build
DESTDIR ?=
PREFIX  ?= /usr/local

# What uname -r says on the kernel that KDIR belongs to.
RELEASE  = $(shell sed -n 's/.*"\(.*\)"/\1/p' $(KDIR)/include/generated/utsrelease.h 2> /dev/null)

all: module lib		## the module for KDIR, the library and kcachectl (the default)

help:			## this list
	@echo "make [KDIR=DIR] TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

demo:			## see it work: build, boot a guest, run the tour (HOST=1: on this kernel)
	@tests/deps build $(if $(HOST),,guest)
	@$(MAKE) -s lib
	@tests/demo/run $(if $(HOST),--host)

check:			## every test, on every kernel; ends with the counts
	@tests/deps check
	@tests/check

quick:			## host tests and static checks, no guest: under a minute
	@tests/check quick

fuzz:			## fuzz on from the corpus (MINUTES=10, for all targets together)
	@tests/deps check
	@tests/fuzz/run $(or $(MINUTES),10)

bench:			## kcache beside memcached, Redis, LMDB and others (QUICK=1: 5 minutes)
	@tests/bench/run $(if $(QUICK),--quick)

soak:			## an hour (HOURS=n) of mixed load on the debug kernel, all of it checked
	@tests/deps check
	@tests/soak/run $(if $(HOURS),--hours $(HOURS)) $(if $(SEED),--seed $(SEED))

coverage:		## which lines of module, library and command the tests reach: a quarter of an hour
	@tests/deps check
	@tests/coverage/run

# Kbuild writes beside its sources, so each kernel gets a tree of links to them.
module:			## kcache.ko for KDIR, in build/RELEASE
	@[ -n "$(RELEASE)" ] || { \
		echo "No kernel headers in $(KDIR). Install linux-headers-$$(uname -r), or set KDIR=" >&2; \
		exit 1; }
	@mkdir -p $(BUILD)/$(RELEASE)
	@cp -rsf $(CURDIR)/Kbuild $(CURDIR)/kmod $(BUILD)/$(RELEASE)/
	$(MAKE) -C $(KDIR) M=$(BUILD)/$(RELEASE) modules

lib:			## libkcache, kcachectl and the examples, in build/userspace
	$(MAKE) -C userspace O=$(BUILD)/userspace

install: module lib	## all of it, under DESTDIR and PREFIX
	$(MAKE) -C userspace O=$(BUILD)/userspace DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) install
	install -D -m 644 $(BUILD)/$(RELEASE)/kcache.ko \
		$(DESTDIR)/lib/modules/$(RELEASE)/updates/kcache.ko
	install -D -m 644 packaging/sysusers.d/kcache.conf \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/kcache.conf
	[ -n "$(DESTDIR)" ] || ! command -v systemd-sysusers > /dev/null || \
		systemd-sysusers $(PREFIX)/lib/sysusers.d/kcache.conf
	install -D -m 644 packaging/udev/60-kcache.rules \
		$(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-kcache.rules
	[ -n "$(DESTDIR)" ] || depmod $(RELEASE)

load: module		## load the module into this machine's kernel (max_bytes=SIZE)
	insmod $(BUILD)/$(RELEASE)/kcache.ko $(if $(max_bytes),max_bytes=$(max_bytes))

unload:			## unload it
	rmmod kcache

clean:			## remove build/
	rm -rf $(BUILD)

.PHONY: all help demo check quick fuzz coverage bench soak module lib install load unload clean
