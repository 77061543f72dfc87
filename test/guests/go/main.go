// What Go programs do with stores, facts and logs; each path is a check that answers with text.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/fastly/compute-sdk-go/acl"
	"github.com/fastly/compute-sdk-go/compute"
	"github.com/fastly/compute-sdk-go/configstore"
	"github.com/fastly/compute-sdk-go/device"
	"github.com/fastly/compute-sdk-go/edgedict"
	"github.com/fastly/compute-sdk-go/erl"
	"github.com/fastly/compute-sdk-go/fsthttp"
	"github.com/fastly/compute-sdk-go/geo"
	"github.com/fastly/compute-sdk-go/kvstore"
	"github.com/fastly/compute-sdk-go/rtlog"
	"github.com/fastly/compute-sdk-go/secretstore"
)

var checks = map[string]func(w io.Writer) error{
	"/environment": func(w io.Writer) error {
		_, err := fmt.Fprint(w, os.Getenv("FASTLY_SERVICE_ID"), " ", os.Getenv("FASTLY_TRACE_ID"))
		return err
	},
	"/kv":     kv,
	"/config": config,
	"/secret": func(w io.Writer) error {
		secret, err := secretstore.Plaintext("vault", "token")
		fmt.Fprintf(w, "%s", secret)
		return err
	},
	"/acl": func(w io.Writer) error {
		list, err := acl.Open("guests")
		if err != nil {
			return err
		}
		found, err := list.Lookup(net.ParseIP("192.0.2.7"))
		if err != nil {
			return err
		}
		_, missing := list.Lookup(net.ParseIP("198.51.100.1"))
		fmt.Fprintf(w, "%s %s %v", found.Prefix, found.Action, errors.Is(missing, acl.ErrNoContent))
		return nil
	},
	"/rate": rate,
	"/geo": func(w io.Writer) error {
		place, err := geo.Lookup(net.ParseIP("8.8.8.8"))
		if err != nil {
			return err
		}
		nowhere, err := geo.Lookup(net.ParseIP("127.0.0.1"))
		fmt.Fprintf(w, "%s %s %d %q", place.CountryCode, place.CountryName, place.AsNumber, nowhere.CountryCode)
		return err
	},
	"/device": func(w io.Writer) error {
		found, err := device.Lookup("Phone/1")
		_, missing := device.Lookup("Phone/2")
		fmt.Fprintf(w, "%s %v", found.Name(), errors.Is(missing, device.ErrDeviceNotFound))
		return err
	},
	"/log": func(w io.Writer) error {
		fmt.Fprintln(rtlog.Open("collector"), "to the collector")
		fmt.Println("to standard output")
		fmt.Fprint(os.Stderr, "to standard error")
		fmt.Fprint(w, "logged")
		return nil
	},
	"/sleep": func(w io.Writer) error {
		began := time.Now()
		done := make(chan int)
		go func() {
			time.Sleep(20 * time.Millisecond)
			done <- 1
		}()
		<-done
		used, err := compute.GetVCPUTime()
		mib, _ := compute.GetHeapMiB()
		_, missing := os.Open("/etc/passwd")
		fmt.Fprint(w, time.Since(began) >= 20*time.Millisecond, " ", used < 2*time.Second, " ", mib > 0, " ", missing != nil)
		return err
	},
}

func kv(w io.Writer) error {
	store, err := kvstore.Open("things")
	if err != nil {
		return err
	}
	if err := store.InsertWithConfig("from go", strings.NewReader("good day"), &kvstore.InsertConfig{Metadata: []byte("meta")}); err != nil {
		return err
	}
	entry, err := store.Lookup("from go")
	if err != nil {
		return err
	}
	generation := entry.Generation()
	fmt.Fprintf(w, "%s %s", entry.String(), entry.Meta())
	wrong := store.InsertWithConfig("from go", strings.NewReader("x"), &kvstore.InsertConfig{IfGenerationMatch: generation + 1})
	right := store.InsertWithConfig("from go", strings.NewReader("y"), &kvstore.InsertConfig{IfGenerationMatch: generation})
	pages := store.List(&kvstore.ListConfig{Prefix: "from"})
	for pages.Next() {
		fmt.Fprintf(w, " %s", pages.Page().Data)
	}
	if err := store.Delete("from go"); err != nil {
		return err
	}
	_, gone := store.Lookup("from go")
	_, none := kvstore.Open("nowhere")
	fmt.Fprint(w, " ", errors.Is(wrong, kvstore.ErrPreconditionFailed), right == nil, errors.Is(gone, kvstore.ErrKeyNotFound), errors.Is(none, kvstore.ErrStoreNotFound))
	return nil
}

func config(w io.Writer) error {
	store, err := configstore.Open("settings")
	if err != nil {
		return err
	}
	greeting, err := store.Get("greeting")
	if err != nil {
		return err
	}
	_, missing := store.Get("nothing")
	colours, err := edgedict.Open("colours")
	if err != nil {
		return err
	}
	sky, err := colours.Get("sky")
	_, none := configstore.Open("nowhere")
	fmt.Fprint(w, greeting, " ", sky, " ", errors.Is(missing, configstore.ErrKeyNotFound), errors.Is(none, configstore.ErrStoreNotFound))
	return err
}

func rate(w io.Writer) error {
	counter, box := erl.OpenRateCounter("hits"), erl.OpenPenaltyBox("box")
	limiter := erl.NewRateLimiter(counter, box)
	policy := &erl.Policy{RateWindow: erl.RateWindow10s, MaxRate: 10, PenaltyBoxDuration: time.Minute}
	before, err := limiter.CheckRate("from go", 1, policy)
	if err != nil {
		return err
	}
	if err := counter.Increment("from go", 500); err != nil {
		return err
	}
	after, err := limiter.CheckRate("from go", 1, policy)
	if err != nil {
		return err
	}
	rate, _ := counter.LookupRate("from go", erl.RateWindow10s)
	count, _ := counter.LookupCount("from go", erl.CounterDuration60s)
	if err := box.Add("other", time.Minute); err != nil {
		return err
	}
	has, err := box.Has("other")
	fmt.Fprint(w, before, " ", after, " ", rate, " ", count, " ", has)
	return err
}

func main() {
	fsthttp.ServeFunc(func(_ context.Context, w fsthttp.ResponseWriter, r *fsthttp.Request) {
		check, known := checks[r.URL.Path]
		if !known {
			fmt.Fprintf(w, "%s from Go", r.Method)
		} else if err := check(w); err != nil {
			w.WriteHeader(500)
			fmt.Fprint(w, err)
		}
	})
}
