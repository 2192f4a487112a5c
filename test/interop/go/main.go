// The official Go client (remoting protocol) on a broker: creates a topic, sends in every way, reads
// back by push and by pull. One line of JSON on stdout for each result; the test compares them.
//
//	peer NAMESRV BROKER_ADDRESS BROKER_NAME TOPIC
//	peer features NAMESRV BROKER_ADDRESS (features.go)
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

const queues = 4

var printing sync.Mutex

func print(kind string, fields map[string]interface{}) {
	fields["kind"] = kind
	line, err := json.Marshal(fields)
	must(err)
	printing.Lock()
	fmt.Println("@" + string(line))
	printing.Unlock()
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func printSent(mode string, body string, result *primitive.SendResult) {
	print("sent", map[string]interface{}{
		"mode": mode, "body": body, "status": int(result.Status), "messageId": result.MsgID,
		"offsetMessageId": result.OffsetMsgID, "queueId": result.MessageQueue.QueueId,
		"queueOffset": result.QueueOffset,
	})
}

func printReceived(how string, message *primitive.MessageExt) {
	print("received", map[string]interface{}{
		"how": how, "body": string(message.Body), "messageId": message.MsgId, "tags": message.GetTags(),
		"keys": message.GetKeys(), "property": message.GetProperty("colour"),
		"queueId": message.Queue.QueueId, "queueOffset": message.QueueOffset,
	})
}

func message(topic, body, tag string) *primitive.Message {
	m := primitive.NewMessage(topic, []byte(body))
	m.WithTag(tag)
	m.WithKeys([]string{"key-" + tag, "all"})
	m.WithProperty("colour", "grün")
	return m
}

func main() {
	if os.Args[1] == "more" {
		more(os.Args[2], os.Args[3])
		return
	}
	if os.Args[1] == "features" {
		features(os.Args[2], os.Args[3])
		return
	}
	namesrv, brokerAddress, brokerName, topic := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	rlog.SetLogLevel("error")
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	servers := primitive.NewPassthroughResolver([]string{namesrv})

	tool, err := admin.NewAdmin(admin.WithResolver(servers))
	must(err)
	must(tool.CreateTopic(ctx, admin.WithTopicCreate(topic), admin.WithBrokerAddrCreate(brokerAddress),
		admin.WithReadQueueNums(queues), admin.WithWriteQueueNums(queues)))
	list, err := tool.FetchAllTopicList(ctx)
	must(err)
	for _, name := range list.TopicList {
		if name == topic {
			print("listed", map[string]interface{}{"topic": name})
		}
	}

	p, err := rocketmq.NewProducer(producer.WithNsResolver(servers), producer.WithGroupName("GoProducer"),
		producer.WithInstanceName("go-producer"))
	must(err)
	must(p.Start())
	for i := 0; i < 20; i++ {
		body := fmt.Sprintf("sync %d", i)
		result, err := p.SendSync(ctx, message(topic, body, []string{"A", "B", "C"}[i%3]))
		must(err)
		printSent("sync", body, result)
	}
	var pending sync.WaitGroup
	for i := 0; i < 10; i++ {
		body := fmt.Sprintf("async %d", i)
		pending.Add(1)
		must(p.SendAsync(ctx, func(_ context.Context, result *primitive.SendResult, err error) {
			must(err)
			printSent("async", body, result)
			pending.Done()
		}, message(topic, body, "A")))
	}
	pending.Wait()
	batch := make([]*primitive.Message, 0)
	for i := 0; i < 8; i++ {
		batch = append(batch, message(topic, fmt.Sprintf("batch %d", i), "B"))
	}
	result, err := p.SendSync(ctx, batch...)
	must(err)
	printSent("batch", "", result)
	must(p.SendOneWay(ctx, message(topic, "oneway", "C")))

	push, err := rocketmq.NewPushConsumer(consumer.WithNsResolver(servers), consumer.WithGroupName("GoPush"),
		consumer.WithInstance("go-push"), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	must(err)
	arrived := make(chan struct{}, 1000)
	must(push.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "A || B"},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, one := range messages {
				printReceived("push", one)
				arrived <- struct{}{}
			}
			return consumer.ConsumeSuccess, nil
		}))
	must(push.Start())
	// 14 of the synchronous ones have tag A or B, the asynchronous ones A, the batch B.
	for i := 0; i < 14+10+8; i++ {
		select {
		case <-arrived:
		case <-ctx.Done():
			must(ctx.Err())
		}
	}
	_, err = p.SendSync(ctx, message(topic, "late", "A"))
	must(err)
	start := time.Now()
	select {
	case <-arrived:
		print("woken", map[string]interface{}{"ms": time.Since(start).Milliseconds()})
	case <-ctx.Done():
		must(ctx.Err())
	}

	pull, err := rocketmq.NewPullConsumer(consumer.WithNsResolver(servers), consumer.WithGroupName("GoPull"),
		consumer.WithInstance("go-pull"))
	must(err)
	must(pull.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}))
	must(pull.Start())
	for id := 0; id < queues; id++ {
		queue := &primitive.MessageQueue{Topic: topic, BrokerName: brokerName, QueueId: id}
		for offset := int64(0); ; {
			page, err := pull.PullFrom(ctx, queue, offset, 32)
			must(err)
			for _, one := range page.GetMessageExts() {
				printReceived("pull", one)
			}
			offset = page.NextBeginOffset
			if page.Status != primitive.PullFound || offset >= page.MaxOffset {
				break
			}
		}
	}
	must(push.Shutdown())
	must(pull.Shutdown())
	must(p.Shutdown())
	print("done", map[string]interface{}{})
	os.Exit(0)
}
