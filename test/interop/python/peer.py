"""The C++ client of the 4.x line through its Python binding (`rocketmq` 0.4.4, which carries the
native library): sends, reads back by push and by pull. One line of JSON a result on stdout.

    peer.py NAMESRV TOPIC
Batches are left out: this client sends them without saying so in the header, and every broker then
stores them as one message.
"""
import json
import sys
import threading
import time

from rocketmq.client import Message, Producer, PullConsumer, PushConsumer


def show(kind, **fields):
    # One write with both line ends: the C++ client writes to the same stream from threads of its own.
    sys.stdout.write('\n@' + json.dumps(dict(fields, kind=kind)) + '\n')
    sys.stdout.flush()


def text(value):
    return value.decode('utf-8') if isinstance(value, bytes) else value


def message(topic, body, tag):
    one = Message(topic)
    one.set_keys('key-' + tag)
    one.set_tags(tag)
    one.set_property('colour', 'blue')
    one.set_body(body)
    return one


def received(how, one):
    show(
        'received',
        how=how,
        body=text(one.body),
        messageId=one.id,
        tags=text(one.tags),
        keys=text(one.keys),
        property=text(one.get_property('colour')),
        queueId=one.queue_id,
        queueOffset=one.queue_offset,
    )


def features(namesrv, producer, topic):
    """Messages in the order of their keys, one that waits a second, one that the client compresses."""
    long = 'long ' * 4000
    arrived = threading.Semaphore(0)

    def on_message(one):
        body = text(one.body)
        late = int(time.time() * 1000) - one.born_timestamp
        show('got', body='long' if body == long else body, queueId=one.queue_id, afterMs=late)
        arrived.release()

    for i in range(6):
        for key in range(3):
            producer.send_orderly(message(topic + 'More', '%d %d' % (key, i), 'O'), key)
    waiting = message(topic + 'More', 'waiting', 'O')
    waiting.set_delay_time_level(1)
    for one in (waiting, message(topic + 'More', long, 'O')):
        producer.send_sync(one)
    push = PushConsumer('PyOrderly', orderly=True)
    push.set_namesrv_addr(namesrv)
    push.set_instance_name('py-orderly')
    push.subscribe(topic + 'More', on_message, '*')
    push.start()
    deadline = time.monotonic() + 60
    for _ in range(6 * 3 + 2):
        if not arrived.acquire(timeout=max(0.1, deadline - time.monotonic())):
            break
    push.shutdown()


def main(namesrv, topic):
    producer = Producer('PyProducer')
    producer.set_namesrv_addr(namesrv)
    producer.start()
    for i in range(20):
        body = 'sync %d' % i
        result = producer.send_sync(message(topic, body, 'AB'[i % 2]))
        show('sent', body=body, status=int(result.status), messageId=result.msg_id, offset=result.offset)
    producer.send_oneway(message(topic, 'oneway', 'C'))

    arrived = threading.Semaphore(0)

    def on_message(one):
        received('push', one)
        arrived.release()

    push = PushConsumer('PyPush')
    push.set_namesrv_addr(namesrv)
    push.set_instance_name('py-push')
    push.subscribe(topic, on_message, 'A || B')
    push.start()
    deadline = time.monotonic() + 60
    for _ in range(20):
        if not arrived.acquire(timeout=max(0.1, deadline - time.monotonic())):
            break
    push.shutdown()
    features(namesrv, producer, topic)

    pull = PullConsumer('PyPull')
    pull.set_namesrv_addr(namesrv)
    pull.start()
    for one in pull.pull(topic):
        received('pull', one)
    pull.shutdown()
    producer.shutdown()
    show('done')


main(*sys.argv[1:])
