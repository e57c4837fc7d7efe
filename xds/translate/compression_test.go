package translate

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	brotliv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/brotli/decompressor/v3"
	gzipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/decompressor/v3"
	zstdv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/zstd/decompressor/v3"
	decompressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/decompressor/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// compressible is a page of 64 KiB, to which compression does no wonders: decompressors would think of a bomb.
var compressible = func() string {
	source := rand.New(rand.NewPCG(1, 2)) // the same every time
	page := make([]byte, 64<<10)
	for i := range page {
		page[i] = "0123456789abcdef"[source.IntN(16)]
	}
	return string(page)
}()

// pages is a member with answers of all kinds.
func pages(t *testing.T) string {
	t.Helper()
	return server(t, func(w http.ResponseWriter, r *http.Request) {
		header, body := w.Header(), compressible
		header.Set("Content-Type", "text/html; charset=utf-8")
		switch r.URL.Path {
		case "/strong":
			header.Set("ETag", `"e"`)
		case "/weak":
			header.Set("ETag", `W/"e"`)
		case "/vary":
			header.Set("Vary", "Origin")
		case "/short":
			body = "0123456789"
		case "/image":
			header.Set("Content-Type", "image/png")
		case "/json":
			header.Set("Content-Type", "Application/JSON")
		case "/encoded":
			header.Set("Content-Encoding", "gzip")
		case "/never":
			header.Set("Cache-Control", "no-transform")
		case "/part":
			header.Set("Content-Range", "bytes 0-65535/70000")
			w.WriteHeader(http.StatusPartialContent)
		case "/chunked":
			_, _ = io.WriteString(w, body[:1000])
			w.(http.Flusher).Flush()
			body = body[1000:]
		}
		_, _ = io.WriteString(w, body)
	})
}

func compressing(algorithms ...any) map[string]any {
	return map[string]any{"compression": map[string]any{
		"algorithms": algorithms, "min_length": 1000, "content_types": []any{"text/html", "application/json"},
	}}
}

// TestCompression is what clients see of the flavor's compression.
func TestCompression(t *testing.T) {
	web := listener(t, "web", "HTTP", "blue")
	serve(t, &model.LoadBalancer{
		Flavor:    compressing("brotli", "zstd", "gzip"),
		Listeners: []model.Listener{web}, Pools: []model.Pool{pool("blue", "HTTP", pages(t))},
	})
	t.Run("what the client likes", func(t *testing.T) {
		for accept, want := range map[string]string{
			"":                            "",
			"identity":                    "",
			"deflate":                     "",
			"gzip":                        "gzip",
			"br":                          "br",
			"zstd":                        "zstd",
			"*":                           "br",
			"gzip, deflate, br, zstd":     "br",
			"gzip, deflate, zstd":         "gzip",
			"zstd, gzip":                  "zstd",
			"gzip, br":                    "br",
			"br, zstd, gzip":              "br",
			"zstd, br, gzip":              "br",
			"gzip;q=1.0, br;q=0.5, *;q=0": "gzip",
			"br;q=0, gzip":                "gzip",
			"gzip;q=0.2, zstd;q=0.8":      "zstd",
			"gzip;q=0, identity":          "",
		} {
			response, body := ask(t, &web, "GET /page HTTP/1.1\r\nHost: x\r\nAccept-Encoding: "+accept+"\r\n\r\n")
			if got := response.Header.Get("Content-Encoding"); got != want {
				t.Errorf("%q: %q, want %q", accept, got, want)
			}
			if want == "" && body != compressible || want != "" && len(body) > len(compressible)*2/3 {
				t.Errorf("%q: %d bytes of %d", accept, len(body), len(compressible))
			}
			if got := response.Header.Get("Vary"); got != "Accept-Encoding" {
				t.Errorf("%q: vary %q", accept, got)
			}
		}
	})
	t.Run("what is compressed", func(t *testing.T) {
		for _, test := range []struct {
			path, encoding, etag, vary string
		}{
			{"/strong", "gzip", `W/"e"`, "Accept-Encoding"},
			{"/weak", "gzip", `W/"e"`, "Accept-Encoding"},
			{"/vary", "gzip", "", "Origin, Accept-Encoding"},
			{"/json", "gzip", "", "Accept-Encoding"},
			{"/chunked", "gzip", "", "Accept-Encoding"},
			{"/short", "", "", ""},
			{"/image", "", "", ""},
			{"/never", "", "", ""},
			{"/part", "", "", ""},
		} {
			response, body := ask(t, &web, "GET "+test.path+" HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
			h := response.Header
			if h.Get("Content-Encoding") != test.encoding || h.Get("ETag") != test.etag || h.Get("Vary") != test.vary {
				t.Errorf("%s: encoding %q, etag %q, vary %q", test.path, h.Get("Content-Encoding"), h.Get("ETag"), h.Get("Vary"))
			}
			if test.encoding != "" && unzipped(t, body) != compressible {
				t.Errorf("%s: another body", test.path)
			}
		}
	})
	t.Run("once", func(t *testing.T) {
		response, body := ask(t, &web, "GET /encoded HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, br\r\n\r\n")
		if response.Header.Get("Content-Encoding") != "gzip" || body != compressible {
			t.Errorf("what the member has encoded comes as %v, %d bytes", response.Header, len(body))
		}
	})
}

// TestCompressedIsWhole opens what is compressed with Envoy's own decompressors: the second listener of one Envoy has the
// first as its member.
func TestCompressedIsWhole(t *testing.T) {
	web, opens := listener(t, "web", "HTTP", "blue"), listener(t, "opens", "HTTP", "web")
	lb := &model.LoadBalancer{
		ID: "lb", VIPAddress: vip, AdminStateUp: true, Flavor: compressing("gzip", "brotli", "zstd"),
		Listeners: []model.Listener{web, opens},
		Pools:     []model.Pool{pool("blue", "HTTP", pages(t)), pool("web", "HTTP", place(&web))},
	}
	res := translated(t, lb)
	editManager(t, res, "opens", func(manager *hcmv3.HttpConnectionManager) {
		router := manager.GetHttpFilters()[len(manager.GetHttpFilters())-1]
		manager.HttpFilters = nil
		for name, library := range map[string]validated{"gzip": &gzipv3.Gzip{}, "br": &brotliv3.Brotli{}, "zstd": &zstdv3.Zstd{}} {
			config, err := pack(library)
			if err != nil {
				t.Fatal(err)
			}
			filter, err := pack(&decompressorv3.Decompressor{
				DecompressorLibrary: &corev3.TypedExtensionConfig{Name: name, TypedConfig: config},
				RequestDirectionConfig: &decompressorv3.Decompressor_RequestDirectionConfig{
					AdvertiseAcceptEncoding: wrapperspb.Bool(false),
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			manager.HttpFilters = append(manager.HttpFilters, &hcmv3.HttpFilter{
				Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: filter},
			})
		}
		manager.HttpFilters = append(manager.HttpFilters, router)
	})
	serveResources(t, lb, res)
	for _, encoding := range []string{"gzip", "br", "zstd"} {
		for _, path := range []string{"/page", "/chunked"} {
			request := "GET " + path + " HTTP/1.1\r\nHost: x\r\nAccept-Encoding: " + encoding + "\r\n\r\n"
			if response, body := ask(t, &opens, request); body != compressible || response.Header.Get("Content-Encoding") != "" {
				t.Errorf("%s %s: %d bytes, %v", encoding, path, len(body), response.Header)
			}
			if response, _ := ask(t, &web, request); response.Header.Get("Content-Encoding") != encoding {
				t.Errorf("%s %s: it was not compressed", encoding, path)
			}
		}
	}
}

func unzipped(t *testing.T, body string) string {
	t.Helper()
	reader, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var plain bytes.Buffer
	if _, err := io.Copy(&plain, reader); err != nil {
		t.Fatal(err)
	}
	return plain.String()
}

// editManager changes the HTTP connection manager of a listener.
func editManager(t *testing.T, res *Resources, id string, edit func(*hcmv3.HttpConnectionManager)) {
	t.Helper()
	for _, filter := range res.Listeners[id].GetFilterChains()[0].GetFilters() {
		manager := &hcmv3.HttpConnectionManager{}
		if !filter.GetTypedConfig().MessageIs(manager) {
			continue
		}
		if err := filter.GetTypedConfig().UnmarshalTo(manager); err != nil {
			t.Fatal(err)
		}
		edit(manager)
		packed, err := pack(manager)
		if err != nil {
			t.Fatal(err)
		}
		filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: packed}
	}
}
