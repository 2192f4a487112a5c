// What messages can do, by the official Go client: order, transactions, delay, SQL filters, broadcast.
//
//	peer features NAMESRV BROKER_ADDRESS
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

var featureTopics = []string{"GoOrder", "GoTransaction", "GoDelay", "GoSql", "GoBroadcast"}

// listener decides by the body: commit, rollback, or leaves it open until the broker asks.
type listener struct{}

func (listener) ExecuteLocalTransaction(m *primitive.Message) primitive.LocalTransactionState {
	switch strings.Fields(string(m.Body))[0] {
	case "commit":
		return primitive.CommitMessageState
	case "rollback":
		return primitive.RollbackMessageState
	}
	return primitive.UnknowState
}

func (listener) CheckLocalTransaction(m *primitive.MessageExt) primitive.LocalTransactionState {
	print("asked", map[string]interface{}{"body": string(m.Body)})
	if strings.HasPrefix(string(m.Body), "open commit") {
		return primitive.CommitMessageState
	}
	return primitive.RollbackMessageState
}

type collector struct {
	want    int
	count   int
	arrived chan struct{}
	lock    sync.Mutex
}

func (c *collector) took() {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.count++
	if c.count == c.want {
		close(c.arrived)
	}
}

// consume prints what a consumer gets; each has a group or an instance of its own.
func consume(servers primitive.NsResolver, name string, topic string, selector consumer.MessageSelector,
	want int, failOnce string, more ...consumer.Option) (rocketmq.PushConsumer, *collector) {
	got := &collector{want: want, arrived: make(chan struct{})}
	failed := false
	options := append([]consumer.Option{consumer.WithNsResolver(servers), consumer.WithInstance(name),
		consumer.WithGroupName("G" + name), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset)}, more...)
	push, err := rocketmq.NewPushConsumer(options...)
	must(err)
	must(push.Subscribe(topic, selector,
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, one := range messages {
				body := string(one.Body)
				if body == failOnce && !failed {
					failed = true
					return consumer.SuspendCurrentQueueAMoment, nil
				}
				print("got", map[string]interface{}{"who": name, "body": body, "queueId": one.Queue.QueueId,
					"key": one.GetShardingKey(), "afterMs": time.Now().UnixMilli() - one.BornTimestamp})
				got.took()
			}
			return consumer.ConsumeSuccess, nil
		}))
	must(push.Start())
	return push, got
}

func features(namesrv, brokerAddress string) {
	rlog.SetLogLevel("error")
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	servers := primitive.NewPassthroughResolver([]string{namesrv})
	tool, err := admin.NewAdmin(admin.WithResolver(servers))
	must(err)
	for _, topic := range featureTopics {
		must(tool.CreateTopic(ctx, admin.WithTopicCreate(topic), admin.WithBrokerAddrCreate(brokerAddress),
			admin.WithReadQueueNums(queues), admin.WithWriteQueueNums(queues)))
	}
	all := consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}
	sql := consumer.MessageSelector{Type: consumer.SQL92, Expression: "price > 10 AND region = 'eu'"}
	broadcast := consumer.WithConsumerModel(consumer.BroadCasting)
	order, ordered := consume(servers, "Order", "GoOrder", all, 40, "b 4", consumer.WithConsumerOrder(true),
		consumer.WithSuspendCurrentQueueTimeMillis(100*time.Millisecond))
	transaction, committed := consume(servers, "Transaction", "GoTransaction", all, 2, "")
	delay, delayed := consume(servers, "Delay", "GoDelay", all, 2, "")
	filter, filtered := consume(servers, "Sql", "GoSql", sql, 3, "")
	one, first := consume(servers, "One", "GoBroadcast", all, 8, "", broadcast, consumer.WithGroupName("GAll"))
	two, second := consume(servers, "Two", "GoBroadcast", all, 8, "", broadcast, consumer.WithGroupName("GAll"))

	p, err := rocketmq.NewProducer(producer.WithNsResolver(servers), producer.WithGroupName("GoFeatures"),
		producer.WithInstanceName("go-features"), producer.WithQueueSelector(producer.NewHashQueueSelector()))
	must(err)
	must(p.Start())
	send := func(m *primitive.Message) {
		_, err := p.SendSync(ctx, m)
		must(err)
	}
	for i := 0; i < 10; i++ {
		for _, key := range []string{"a", "b", "c", "d"} {
			m := primitive.NewMessage("GoOrder", []byte(fmt.Sprintf("%s %d", key, i)))
			send(m.WithShardingKey(key))
		}
	}
	send(primitive.NewMessage("GoDelay", []byte("level 1")).WithDelayTimeLevel(1))
	send(primitive.NewMessage("GoDelay", []byte("level 2")).WithDelayTimeLevel(2))
	for i := 0; i < 12; i++ {
		m := primitive.NewMessage("GoSql", []byte(fmt.Sprintf("%d", i)))
		m.WithProperty("price", fmt.Sprintf("%d", i*2))
		m.WithProperty("region", []string{"eu", "us"}[i%2])
		send(m)
	}
	for i := 0; i < 8; i++ {
		send(primitive.NewMessage("GoBroadcast", []byte(fmt.Sprintf("to all %d", i))))
	}

	t, err := rocketmq.NewTransactionProducer(listener{}, producer.WithNsResolver(servers),
		producer.WithGroupName("GoTransactions"), producer.WithInstanceName("go-transactions"))
	must(err)
	must(t.Start())
	for _, body := range []string{"commit at once", "rollback at once", "open commit later", "open rollback later"} {
		result, err := t.SendMessageInTransaction(ctx, primitive.NewMessage("GoTransaction", []byte(body)))
		must(err)
		print("sent", map[string]interface{}{"body": body, "status": int(result.Status)})
	}

	for _, got := range []*collector{ordered, committed, delayed, filtered, first, second} {
		select {
		case <-got.arrived:
		case <-ctx.Done():
			fmt.Fprintln(os.Stderr, "not everything arrived")
			print("late", map[string]interface{}{})
			os.Exit(0)
		}
	}
	// Time for what should not come.
	time.Sleep(2 * time.Second)
	for _, push := range []rocketmq.PushConsumer{order, transaction, delay, filter, one, two} {
		must(push.Shutdown())
	}
	must(p.Shutdown())
	must(t.Shutdown())
	print("done", map[string]interface{}{})
	os.Exit(0)
}
